# shellcheck shell=bash
# Processes of the local stack: supervisor, the running programs, and processes that
# were left behind. Needs lib.sh.

SUPERVISOR_CONF=$CONF/supervisord.conf

supervisor() { /usr/bin/supervisorctl -c "$SUPERVISOR_CONF" "$@"; }

supervisor_pid() {
    local pid
    pid=$(rpc getPID 2>/dev/null | sed -n 's/.*<int>\([0-9]*\)<.*/\1/p')
    [[ -n $pid ]] && echo "$pid"
}

supervisor_is_up() { [[ -S $RUN/supervisor.sock ]] && [[ -n $(supervisor_pid) ]]; }

# rpc METHOD [STRING [BOOLEAN]]: supervisorctl takes 0.2 s and can't start without waiting.
rpc() {
    local params=
    [[ -z ${2:-} ]] || params="<param><value><string>$2</string></value></param>"
    [[ -z ${3:-} ]] || params+="<param><value><boolean>$3</boolean></value></param>"
    curl -sS -m 200 --noproxy '*' --unix-socket "$RUN/supervisor.sock" -H 'Content-Type: text/xml' \
        -d "<methodCall><methodName>supervisor.$1</methodName><params>$params</params></methodCall>" \
        http://localhost/RPC2
}

# The record of a program is written by `run` right before it becomes the server:
# pid, start time in ticks, boot id and the stamp of what it was started from.
record_of() { echo "$RUN/$1.record"; }

# stat_of PID: sets STAT to the fields of /proc/PID/stat after the name; 0 is the state, 19 the start time in ticks.
stat_of() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra STAT <<<"${line##*) }"
}

start_ticks() { ! stat_of "$1" || echo "${STAT[19]}"; }

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# The pid of the program's main process; fails when it is not alive (or the pid is another's now).
pid_of() {
    local pid ticks boot now STAT
    { read -r pid ticks boot _ <"$(record_of "$1")"; } 2>/dev/null && stat_of "$pid" || return 1
    read -r now </proc/sys/kernel/random/boot_id
    [[ $boot == "$now" && ${STAT[19]} == "$ticks" && ${STAT[0]} != Z ]] && echo "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

# The checksum of the files from which a program is started. If it has changed, `make up` restarts the program.
stamp() {
    {
        case $1 in
        postgres-? | witness) cat "$CONF/$(node_of "$1")"/{postgresql,pg_hba,pg_ident,pg_service}.conf ;;
        agent-?) cat "$CONF/$(node_of "$1")"/{node.env,repmgr.conf,pg_service.conf} "$NODE" ;;
        pgpool) cat "$CONF/pgpool"/*.conf "$CONF/pgpool/pool_passwd" ;;
        haproxy | prometheus | alertmanager) cat "$CONF/$1"/* ;;
        host) echo "$TLS" ;;
        netdata) cat "$CONF/netdata"/*.conf "$CONF/netdata"/*.d/* "$BIN/prometheus.plugin" ;;
        redis | logrotate) cat "$CONF/$1.conf" ;;
        link-?) cat "$CONF/links/$1.cfg" ;;
        exporter-?) cat "$SECRETS/$1.env" "$CONF/prometheus/queries.yaml" ;;
        command-? | query-? | replicator-?) cat "$SECRETS/$1.env" "$BIN/${1%-?}" ;;
        esac
        cat "$HERE/run"
    } | cksum | tr -d ' \n'
}

started_from() { awk '{ print $4 }' "$(record_of "$1")" 2>/dev/null; }

# kill -9 of a main process leaves its group behind (pgpool's children keep the port).
sweep() {
    local pid ticks boot
    read -r pid ticks boot _ 2>/dev/null <"$(record_of "$1")" || return 0
    if [[ $boot != "$(boot_id)" ]] || is_running "$1"; then return 0; fi
    # A pid is given to another process only when its group has ended, too. If that has happened, the group
    # is the other process's.
    if [[ -d /proc/$pid && $(start_ticks "$pid") != "$ticks" ]]; then return 0; fi
    wait_for 5 without_leftovers "$pid" || die "processes of the last $1 do not end: $(leftovers "$pid" | xargs)"
}

# Kills what is left, and succeeds once nothing is.
without_leftovers() {
    local pids
    pids=$(leftovers "$1")
    [[ -n $pids ]] || return 0
    # shellcheck disable=SC2086 # several
    kill -KILL $pids || true
    return 1
}

# leftovers GROUP: its processes that work in LOCAL_DIR, as all of ours do. Other processes in a group of
# that number came later. Zombies don't count, because their parent may reap them late.
leftovers() {
    local place pid
    place=$(cd "$LOCAL_DIR" && pwd -P)
    for pid in $(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/ (.*) / /' |
        awk -v group="$1" '$4 == group && $2 != "Z" { print $1 }'); do
        [[ $(readlink "/proc/$pid/cwd")/ != "$place"/* ]] || echo "$pid"
    done
}

start_program() {
    is_running "$1" && return 0
    rpc startProcess "$1" 0 >/dev/null
}

stop_signal() { case $1 in postgres-? | witness | pgpool) echo INT ;; *) echo TERM ;; esac; }

# stop_all HOW: HOW PROGRAM asks a program to stop. A program is stopped before the programs that it uses, and agents
# before their nodes, so that nobody takes over.
stop_all() {
    local line programs
    local order=('haproxy|prometheus|alertmanager|host|netdata|logrotate|exporter-.' '(command|query|replicator)-.' 'pgpool|redis|agent-.')
    load_roles
    order+=("$STANDBY" 'postgres-.' 'witness' 'link-.')
    for line in "${order[@]}"; do
        mapfile -t programs < <(printf '%s\n' "${PROGRAMS[@]}" | grep -Ex "$line")
        stop_line "$1" "${programs[@]}"
    done
}

stop_line() {
    local program
    for program in "${@:2}"; do
        ! is_running "$program" || "$1" "$program"
    done
    for program in "${@:2}"; do
        # A shutdown of Postgres ends with a checkpoint, which may have much to write.
        wait_for 200 stopped "$program" ||
            die "$program (pid $(pid_of "$program")) does not stop" "see $LOGS/$program.log"
        sweep "$program"
    done
}

ask_supervisor() { rpc stopProcess "$1" 0 >/dev/null; }

# Programs that lost their supervisor (by kill -9) are ours, but nobody would restart them.
ask_orphan() {
    note "stopping $1 (pid $(pid_of "$1")), which has lost its supervisor"
    kill "-$(stop_signal "$1")" "$(pid_of "$1")"
}

stopped() { ! is_running "$1"; }

# Each port must be that of one program, and free unless this program runs.
check_ports() {
    local program pair
    for program in "${PROGRAMS[@]}"; do
        for pair in $(ports_of "$program"); do echo "$program $pair $(pid_of "$program")"; done
    done | "$ROOT/bin/render" ports || die "the stack can't have its ports" "see the lines above; make up PORT_OFFSET=10000 moves all of them, make up HTTP_PORT=18080 one"
}

# A drill lets a program run with a clock that is off (ctl clock), which sets CLOCK and, for programs that ask the C library
# for the time, FAKE. The library must be loaded by the user who runs the server, because its semaphore belongs to the first.
load_clock() {
    CLOCK=$(cat "$RUN/$1.clock" 2>/dev/null) || CLOCK='' FAKE=()
    [[ -z $CLOCK ]] || FAKE=(env "LD_PRELOAD=$(dpkg -L libfaketime | grep '/libfaketime\.so\.1$')" "FAKETIME=$CLOCK" DONT_FAKE_MONOTONIC=1)
}

# tree PID: the process and all below it.
tree() {
    sed 's/ (.*) / /' /proc/[0-9]*/stat 2>/dev/null | awk -v root="$1" '{ parent[$1] = $3 }
        END { for (p in parent) { for (q = p; q > 1 && q != root; q = parent[q]); if (q == root) print p } }'
}
