# shellcheck shell=bash
# Settings, messages and small tools of the local stack, and all its functions; sourced by the scripts of this folder.

set -euo pipefail
umask 022

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
PG_VERSION=${PG_VERSION:-15}
# /usr/sbin holds haproxy and pgpool and is not in everybody's PATH.
PATH=/usr/lib/postgresql/$PG_VERSION/bin:$PATH:/usr/sbin:/sbin

LOCAL_DIR=${LOCAL_DIR:-$ROOT/.local}
[[ $LOCAL_DIR == /* ]] || LOCAL_DIR=$PWD/$LOCAL_DIR
DATA=$LOCAL_DIR/data
RUN=$LOCAL_DIR/run
LOGS=$LOCAL_DIR/log
SECRETS=$LOCAL_DIR/secrets
CONF=$LOCAL_DIR/conf
BACKUPS=$LOCAL_DIR/backup
CA=$CONF/tls/ca.crt # whom clients trust with TLS=yes
MARK=$LOCAL_DIR/made-by-stock-pyramid
NODE=$LOCAL_DIR/bin/node # where the user postgres may run it

# Each setting and its default, to which PORT_OFFSET is added. A value that was given to an earlier `make up` stays until `make clean`.
SETTINGS=(
    HTTP_PORT=8080 STATS_PORT=8404
    COMMAND_PORT=8081 QUERY_PORT=8082 REPLICATOR_PORT=8083
    NODE1_PORT=15432 NODE2_PORT=15433 WITNESS_PORT=15434 PGPOOL_PORT=15439 PCP_PORT=15438
    REDIS_PORT=16379 PROMETHEUS_PORT=19090 ALERTMANAGER_PORT=19093 EXPORTER_PORT=19187 HOST_PORT=19100 LINK_PORT=15441
    NETDATA_PORT=19999
    REPLICAS=2 LINKS=no TLS=no MONITOR=no
)

load_settings() {
    local pair name value moved=${PORT_OFFSET:-}
    [[ $moved =~ ^[0-9]{0,5}$ ]] || die "PORT_OFFSET=$moved is not a number" "give one up to 12000: make up PORT_OFFSET=10000"
    for pair in "${SETTINGS[@]}"; do
        name=${pair%%=*} value=${pair#*=}
        [[ $name != *_PORT ]] || value=$((value + 10#0$moved))
        if [[ -z ${!name:-} && -r $CONF/settings && ($name != *_PORT || -z $moved) ]]; then
            printf -v "$name" '%s' "$(sed -n "s/^$name=//p" "$CONF/settings")"
        fi
        [[ -n ${!name:-} ]] || printf -v "$name" '%s' "$value"
        [[ $name != *_PORT || ${!name} =~ ^[1-9][0-9]{0,4}$ ]] || die "$name=${!name} is not a port" "give a number from 1 to 32767"
    done
    # The folder of the programs: that of the last `make up` or `ctl build`.
    BIN=$(cat "$CONF/build" 2>/dev/null) || BIN=$ROOT/bin
    [[ $REPLICAS =~ ^[1-9]$ ]] || die "REPLICAS=$REPLICAS is not a number of instances" "give a number from 1 to 9"
    case $TLS in
    1 | yes) TLS=yes HTTP=https SSLMODE=verify-full TRUST=(env "SSL_CERT_FILE=$CA" SSL_CERT_DIR=/dev/null) ;;
    0 | no) TLS=no HTTP=http SSLMODE=disable TRUST=() ;;
    *) die "TLS=$TLS is neither yes nor no" ;;
    esac
    [[ $MONITOR =~ ^(no|netdata)$ ]] || die "MONITOR=$MONITOR is neither netdata nor no"
    list_programs
}

# get PORT PATH [OPTION]...: an HTTP request to a part.
get() {
    local trust=()
    [[ $TLS != yes ]] || trust=(--cacert "$CA")
    curl -sS -m 5 --noproxy '*' "${trust[@]}" "${@:3}" "$HTTP://127.0.0.1:$1$2"
}

# PROGRAMS are all, in the order in which they are started. Nodes follow their own agents, and the links come first.
list_programs() {
    local i
    PROGRAMS=()
    [[ $LINKS != yes ]] || PROGRAMS+=(link-1 link-2 link-3)
    PROGRAMS+=(witness agent-3 postgres-1 agent-1 postgres-2 agent-2 redis pgpool exporter-1 exporter-2)
    for ((i = 1; i <= REPLICAS; i++)); do PROGRAMS+=("replicator-$i" "command-$i" "query-$i"); done
    [[ -e $BIN/render ]] && ! grep -q ALERTMANAGER_PORT "$BIN/render" || PROGRAMS+=(host alertmanager logrotate) # the last release lacks them
    PROGRAMS+=(prometheus haproxy)
    [[ $MONITOR == no ]] || PROGRAMS+=("$MONITOR")
}

# node_of PROGRAM: the name of the node that it belongs to.
node_of() {
    case $1 in
    postgres-[12] | agent-[12]) echo "node${1#*-}" ;;
    witness | agent-3) echo witness ;;
    esac
}

# ports_of PROGRAM: each as SETTING=PORT, where SETTING moves it. Further instances have ports of their own.
ports_of() {
    local kind=${1%-*} i=0 setting
    [[ $1 == "$kind" ]] || i=$((${1##*-} - 1))
    setting=${kind^^}_PORT
    case $kind in
    haproxy) echo "HTTP_PORT=$HTTP_PORT STATS_PORT=$STATS_PORT" ;;
    pgpool) echo "PGPOOL_PORT=$PGPOOL_PORT PCP_PORT=$PCP_PORT" ;;
    command | query | replicator) echo "$setting=$((${!setting} + 10 * i)) $setting=$((${!setting} + 10 * i + 1000))" ;;
    postgres) setting=NODE$((i + 1))_PORT && echo "$setting=${!setting}" ;;
    exporter) echo "$setting=$((${!setting} + i))" ;;
    link) echo "LINK_PORT=$((LINK_PORT + 2 * i)) LINK_PORT=$((LINK_PORT + 2 * i + 1))" ;;
    agent | logrotate) ;;
    *) echo "$setting=${!setting}" ;;
    esac
}

STARTED_AT=${EPOCHREALTIME/./}

# go_build PACKAGE...: into bin/, with the commit, also in a checkout of another user, which git does not trust.
go_build() {
    (cd "$ROOT" && GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' go run ./deploy/build "$@") ||
        die "the build failed" "see the lines above"
}

# One line per step: the seconds since the start and what is done now.
step() {
    local us=$((${EPOCHREALTIME/./} - STARTED_AT))
    printf '%4d.%d s  %s\n' $((us / 1000000)) $((us / 100000 % 10)) "$*"
}

note() { printf '          %s\n' "$*"; }

# die WHAT [WHAT TO DO]...
die() {
    local next
    printf 'FAILED: %s\n' "$1" >&2
    for next in "${@:2}"; do printf '        %s\n' "$next" >&2; done
    exit 1
}

# wait_for SECONDS COMMAND...: polls until the command succeeds.
wait_for() {
    local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        ((${EPOCHREALTIME/./} < end)) || return 1
        sleep 0.1
    done
}

# put FILE MODE <content: writes the file only when it differs, never half.
put() {
    local file=$1 mode=$2 tmp
    tmp=$(mktemp "$file.XXXXXX")
    cat >"$tmp"
    chmod "$mode" "$tmp"
    if cmp -s "$tmp" "$file"; then rm -f "$tmp"; else mv -f "$tmp" "$file"; fi
}

# Postgres refuses to run as root, so root runs it (and pgpool) as the user postgres.
PG_USER=$(id -un)
AS_POSTGRES=()
if ((EUID == 0)); then
    PG_USER=postgres
    AS_POSTGRES=(setpriv --reuid=postgres --regid=postgres --init-groups --)
fi

# Says whether `make up` made the folders in LOCAL_DIR, which may be anybody's folder. Ends the script if
# somebody else made folders of our names there.
is_ours() {
    [[ ! -e $MARK ]] || return 0
    local folder
    for folder in "$DATA" "$RUN" "$LOGS" "$SECRETS" "$CONF" "$BACKUPS"; do
        [[ ! -e $folder && ! -L $folder ]] ||
            die "$folder is there, but not $MARK: make up has not made it, so it stays as it is" \
                "choose another place: LOCAL_DIR=/var/tmp/pyramid; if it was make up after all: touch $MARK"
    done
    return 1
}

# become FILE COMMAND...: turns this shell into the command. Its environment is bare but for FILE's lines of
# NAME='value'. It does not use env, because ps shows everybody the arguments of env until its exec, and
# they have passwords.
become() {
    local name value
    for name in $(compgen -e); do export -n "${name?}"; done
    export PATH LANG=C.UTF-8 TZ=UTC HOME="$RUN"
    while IFS='=' read -r name value; do
        value=${value#\'}
        export "$name=${value%\'}"
    done <"$1"
    exec "${@:2}"
}

# One `make up`, `down` or `clean` at a time. Servers must not inherit the lock (9>&-).
lock() {
    exec 9>"$LOCAL_DIR/lock"
    flock -n 9 || die "another make up, down or clean is at work in $LOCAL_DIR" "wait for it to end"
}

. "$HERE/procs.sh"
. "$HERE/configure.sh"
. "$HERE/database.sh"
