# shellcheck shell=bash
# The database nodes of the local stack: their roles, how they are made, and what they hold. Needs lib.sh, procs.sh and configure.sh.

# node NAME VERB: one of the verbs of deploy/node, as the user and with the environment of that node.
node() { (become "$CONF/$1/node.env" "${AS_POSTGRES[@]}" "$NODE" "${@:2}"); }

# load_roles sets PRIMARY and STANDBY to programs and PRIMARY_PORT and STANDBY_PORT to their ports. Of two nodes that are both
# no primary the first counts as one.
load_roles() {
    PRIMARY=postgres-1 STANDBY=postgres-2 PRIMARY_PORT=$NODE1_PORT STANDBY_PORT=$NODE2_PORT
    if [[ $(recovers "$NODE2_PORT") == f && $(recovers "$NODE1_PORT") != f ]]; then
        PRIMARY=postgres-2 STANDBY=postgres-1 PRIMARY_PORT=$NODE2_PORT STANDBY_PORT=$NODE1_PORT
    fi
}

recovers() { superuser "$1" postgres "SELECT pg_is_in_recovery()" 2>/dev/null; }

# superuser PORT DATABASE STATEMENT: over the socket; prints bare values.
superuser() {
    env -i PATH="$PATH" PGCONNECT_TIMEOUT=3 psql -XAtq -v ON_ERROR_STOP=1 -h "$RUN" -p "$1" -U postgres -d "$2" -c "$3"
}

# sql NODE STATEMENT: NODE is a program or a role.
sql() {
    local database=pyramid pair
    case $1 in
    primary | standby) load_roles && pair=${1^^}_PORT && pair="=${!pair}" ;;
    *) pair=$(ports_of "$1") ;;
    esac
    [[ $1 != witness ]] || database=repmgr
    superuser "${pair#*=}" "$database" "$2"
}

# leads NAME: the node takes writes.
leads() { [[ $(node "$1" show) == *'"writable":true'* ]]; }

somebody_leads() { leads node1 || leads node2; }

in_sync() { [[ $(node node1 show) == *'"in_sync":true'* ]]; }

start_nodes() {
    [[ ! -e $DATA/primary ]] || die "$DATA holds the data of an earlier version, whose nodes were made otherwise" \
        "stop it with that version (make down), then make clean"
    is_running postgres-1 || step "start the witness and the database nodes"
    local program
    for program in "${PROGRAMS[@]}"; do [[ $program != link-? ]] || start_program "$program"; done
    start_program witness
    start_program agent-3
    [[ -z ${RESTORE_FROM:-} || -e $DATA/node1/data || -e $DATA/node2/data ]] || restore_new
    # The agent makes what the first node's record goes into.
    wait_for 60 node node1 init || die "the first node could not be made" \
        "see $LOGS/witness.log and $LOGS/agent-3.log" "$(node node1 init 2>&1 | tail -n 3)"
    start_program postgres-1
    start_program agent-1
    # A second node that has no data yet is copied after the load, which is faster.
    if [[ -e $DATA/node2/data/PG_VERSION ]]; then start_second; fi
    # After a crash the recovery comes first.
    wait_for 120 somebody_leads || die "no node takes writes" "see $LOGS/agent-1.log and $LOGS/postgres-1.log"
    load_roles
}

# The system of another stack, whose backups are in the folder RESTORE_FROM, as of RESTORE_TO, in a stack that has no data yet.
restore_new() {
    local to=(--latest)
    [[ -z ${RESTORE_TO:-} ]] || to=(--to "$RESTORE_TO")
    step "restore the system from $RESTORE_FROM"
    wait_for 60 knows_record || die "the witness does not answer" "see $LOGS/witness.log and $LOGS/agent-3.log"
    node node1 restore --from "$RESTORE_FROM" "${to[@]}" || die "the restore failed" "see the line above and $CONF/node1/restore.log"
}

knows_record() { [[ $(node node1 show) == *'"witness":true'* ]]; }

# restore ARGUMENT...: the system goes back to a moment. The second node copies the first one when it is started.
restore() {
    local leader program failed=
    [[ $* != *-h* ]] || { node node1 restore --help && return; }
    leader=$(node node1 show | jq -r '.leader // empty')
    [[ -n $leader ]] || die "the witness does not say who led" "start it: deploy/local/ctl start witness agent-3"
    node "$leader" restore --check "$@" || exit
    step "stop the nodes"
    for program in agent-1 agent-2 postgres-1 postgres-2; do
        ask_supervisor "$program"
        wait_for 200 stopped "$program" || die "$program does not stop" "see $LOGS/$program.log"
    done
    step "restore $leader"
    node "$leader" restore "$@" || failed=yes # the nodes then start with the data that they have
    for program in "${leader/node/postgres-}" "${leader/node/agent-}"; do start_program "$program"; done
    wait_for 120 leads "$leader" || die "$leader does not take writes" "see $LOGS/${leader/node/agent-}.log and $LOGS/${leader/node/postgres-}.log"
    start_program "postgres-$((3 - ${leader#node}))" && start_program "agent-$((3 - ${leader#node}))"
    step "wait until the other node has a copy"
    wait_for 600 in_sync || die "the standby does not get in sync" "see the logs of the nodes in $LOGS"
    [[ -z $failed ]] || die "the restore failed; the system is as before" "see the lines above"
    step "done"
}

start_second() {
    start_program postgres-2
    start_program agent-2
}

start_standby() {
    [[ -e $DATA/node2/data/PG_VERSION ]] || step "make the standby (pg_basebackup)"
    start_second
    wait_for 120 in_sync || die "the standby does not get in sync" \
        "see $LOGS/agent-1.log, $LOGS/postgres-2.log, and 'The standby is stuck' in deploy/RUNBOOK.md"
}

prepare_database() {
    step "roles and migrations"
    env -i PATH="$PATH" HOME="$RUN" SECRETS_DIR="$SECRETS" \
        SUPERUSER_URL="postgres://postgres@/postgres?host=$RUN&port=$PRIMARY_PORT" \
        "$BIN/sql" init || die "the roles could not be made" "see the line above and $LOGS/$PRIMARY.log"
    (become "$SECRETS/migrator.env" "$BIN/sql" migrate up) || die "the migrations failed" "see the line above and $LOGS/$PRIMARY.log"
}

# The name of the data set is written to a file before the load. A load is one transaction, so if there are
# rows but no file `seed`, all rows are there and only the vacuum after the commit is missing.
seed() {
    local scale=${SEED:-demo} loaded
    if [[ $(sql primary "SELECT EXISTS (SELECT FROM raffles)") == f ]]; then
        step "load the data set: $scale"
        echo "$scale" >"$DATA/seed.begun"
        (become "$SECRETS/migrator.env" "$ROOT/bin/loadtest" seed --scale "$scale") ||
            die "the data set could not be loaded" "see the line above; start over with make down clean up"
        mv -f "$DATA/seed.begun" "$DATA/seed"
    elif [[ -e $DATA/seed.begun ]]; then
        step "vacuum and analyze the data set, whose load was broken off after its commit"
        sql primary "VACUUM (ANALYZE)"
        mv -f "$DATA/seed.begun" "$DATA/seed"
    fi
    loaded=$(cat "$DATA/seed" 2>/dev/null || echo unknown)
    if [[ -n ${SEED:-} && $loaded != "$SEED" ]]; then
        note "the data set in place is $loaded, not $SEED: make down clean, then make up SEED=$SEED"
    fi
}
