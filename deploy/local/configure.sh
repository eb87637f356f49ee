# shellcheck shell=bash
# Writes the configuration and the secrets of the local stack. Needs lib.sh and load_settings.
# shellcheck disable=SC2034 # variables in capitals are what `render` puts into the templates

ROLES=(migrator command query replicator standby pgpool exporter)

make_folders() {
    mkdir -p "$DATA" "$LOGS" "$CONF"/{primary,standby,pgpool,haproxy,prometheus} "$DATA"/{redis,prometheus}
    mkdir -p "$RUN" "$SECRETS/jwt"
    chmod 0700 "$RUN" "$SECRETS" "$SECRETS/jwt" "$CONF"/{primary,standby,pgpool}
    ((EUID != 0)) || chown "$PG_USER:" "$RUN" "$CONF"/{primary,standby,pgpool}
}

secret() { cat "$SECRETS/$1.password"; }

make_secrets() {
    local role
    for role in "${ROLES[@]}"; do
        [[ -s $SECRETS/$role.password ]] || openssl rand -hex 24 | put "$SECRETS/$role.password" 0600
    done
}

configure() {
    local pair name
    for pair in "${SETTINGS[@]}"; do
        name=${pair%%=*}
        echo "$name=${!name}"
    done | put "$CONF/settings" 0644
    configure_postgres primary "$PRIMARY_PORT" "$STANDBY_PORT" "$(clamp $(($(memory_mb) / 16)) 128 1024)"
    configure_postgres standby "$STANDBY_PORT" "$PRIMARY_PORT" "$(clamp $(($(memory_mb) / 32)) 128 512)"
    configure_pgpool
    configure_redis
    configure_haproxy
    configure_prometheus
    configure_services
    configure_supervisor
}

# configure_postgres NODE PORT PORT_OF_THE_OTHER SHARED_BUFFERS_MB
configure_postgres() {
    local NODE=$1 NODE_PORT=$2 PEER_PORT=$3 NODE_SHARED_BUFFERS_MB=$4
    local NODE_DATA=$DATA/$1 NODE_CONF=$CONF/$1 OS_USER EFFECTIVE_CACHE_MB file
    OS_USER=$(id -un)
    EFFECTIVE_CACHE_MB=$(clamp $(($(memory_mb) / 4)) 256 8192)
    for file in postgresql.conf pg_hba.conf pg_ident.conf; do
        render "$TEMPLATES/postgres/$file" | put "$NODE_CONF/$file" 0600 "$PG_USER"
    done
    echo "127.0.0.1:$PEER_PORT:*:standby:$(secret standby)" | put "$NODE_CONF/pgpass" 0600 "$PG_USER"
}

configure_pgpool() {
    local file role
    for file in pgpool.conf pool_hba.conf; do
        render "$TEMPLATES/pgpool/$file" | put "$CONF/pgpool/$file" 0600 "$PG_USER"
    done
    # pgpool logs in to the nodes with SCRAM as its clients, so it must know their passwords.
    for role in query pgpool; do echo "$role:TEXT$(secret "$role")"; done |
        put "$CONF/pgpool/pool_passwd" 0600 "$PG_USER"
    echo "pgpool:$(secret pgpool | tr -d '\n' | md5sum | cut -d' ' -f1)" | put "$CONF/pgpool/pcp.conf" 0600 "$PG_USER"
}

configure_redis() {
    local REDIS_MAXMEMORY_MB
    REDIS_MAXMEMORY_MB=$(clamp $(($(memory_mb) / 3)) 512 16384)
    render "$TEMPLATES/redis/redis.conf" | put "$CONF/redis.conf" 0600
}

# Load levels come from one address, so here one address may use the whole front door, unless the settings
# say otherwise.
configure_haproxy() (
    export HTTP_PORT STATS_PORT COMMAND_PORT COMMAND_ADMIN_PORT QUERY_PORT QUERY_ADMIN_PORT
    export ADDRESS_CONNS=${ADDRESS_CONNS:-1000000} ADDRESS_RATE=${ADDRESS_RATE:-1000000} ADDRESS_FEEDS=${ADDRESS_FEEDS:-1000000}
    "$DEPLOY/haproxy/render" "$CONF" "$RUN"
)

configure_prometheus() {
    local file
    for file in prometheus.yml rules.yml queries.yaml; do
        render "$TEMPLATES/prometheus/$file" | put "$CONF/prometheus/$file" 0644
    done
}

# env_file PROGRAM NAME=VALUE...: as lines of NAME='value'.
env_file() {
    local pair program=$1
    for pair in "${@:2}"; do printf "%s='%s'\n" "${pair%%=*}" "${pair#*=}"; done | put "$SECRETS/$program.env" 0600
}

# database_url ROLE PORT[,PORT] PARAMETERS
database_url() {
    echo "postgres://$1:$(secret "$1")@127.0.0.1:${2//,/,127.0.0.1:}/pyramid?sslmode=disable${3:+&$3}"
}

configure_services() {
    local both=$PRIMARY_PORT,$STANDBY_PORT writable=target_session_attrs=read-write
    local redis=redis://127.0.0.1:$REDIS_PORT/0 jwks=http://127.0.0.1:$COMMAND_PORT/.well-known/jwks.json
    local given=() name
    # All clients here have one address.
    local LIVE_ADDRESS_MAX=${LIVE_ADDRESS_MAX:-${LIVE_MAX:-10000}}
    # Thousands of users of a load level log in before it begins.
    local LOGIN_CORES=${LOGIN_CORES:-$(nproc)}
    for name in LOG_LEVEL LOGIN_CORES TRUSTED_PROXIES BID_LANES BID_QUEUE MIN_LSN_WAIT LIVE_MAX LIVE_ADDRESS_MAX VERIFY_INTERVAL; do
        [[ -z ${!name:-} ]] || given+=("$name=${!name}")
    done
    # Load levels come from one address and share logins, so the limits are wide unless the settings say otherwise.
    local limits=RATE_LIMIT=${RATE_LIMIT:-login=100/1000,login-address=1000/10000,read=1000000/1000000}
    env_file command "LISTEN_ADDR=127.0.0.1:$COMMAND_PORT" "ADMIN_ADDR=127.0.0.1:$COMMAND_ADMIN_PORT" \
        "PRIMARY_URL=$(database_url command "$both" "$writable")" "JWT_KEYS_DIR=$SECRETS/jwt" \
        "$limits" "${given[@]}"
    env_file query "LISTEN_ADDR=127.0.0.1:$QUERY_PORT" "ADMIN_ADDR=127.0.0.1:$QUERY_ADMIN_PORT" \
        "PRIMARY_URL=$(database_url query "$both" "$writable")" "REPLICA_URL=$(database_url query "$PGPOOL_PORT" "")" \
        "STANDBY_URL=$(database_url query "$STANDBY_PORT,$PRIMARY_PORT" target_session_attrs=prefer-standby)" \
        "REDIS_URL=$redis" "JWKS_URL=$jwks" ALLOW_READ_PATH=true "$limits" "${given[@]}"
    env_file replicator "LISTEN_ADDR=127.0.0.1:$REPLICATOR_PORT" "ADMIN_ADDR=127.0.0.1:$REPLICATOR_ADMIN_PORT" \
        "PRIMARY_URL=$(database_url replicator "$both" "$writable")" "REDIS_URL=$redis" "${given[@]}"
    env_file migrator "MIGRATE_URL=$(database_url migrator "$PRIMARY_PORT" "")" \
        "SEED_URL=$(database_url migrator "$PRIMARY_PORT" "")"
    echo "127.0.0.1:$PGPOOL_PORT:*:query:$(secret query)" | put "$SECRETS/pgpass" 0600
    env_file exporter "PG_EXPORTER_EXTEND_QUERY_PATH=$CONF/prometheus/queries.yaml" \
        "DATA_SOURCE_NAME=$(database_url exporter "$PRIMARY_PORT" ""),$(database_url exporter "$STANDBY_PORT" "")"
}

configure_supervisor() {
    local NOFILE SUPERVISOR_USER='' PROGRAM PRIORITY=0 STOP_SIGNAL STOP_WAIT RUN_QUOTED=${HERE//%/%%}/run
    NOFILE=$(nofile)
    ((EUID != 0)) || SUPERVISOR_USER=user=root
    {
        render "$HERE/supervisord.conf.tmpl"
        # It stops them one by one in the reverse order of their priority.
        for PROGRAM in "${PROGRAMS[@]}"; do
            PRIORITY=$((PRIORITY + 10)) STOP_SIGNAL=$(stop_signal "$PROGRAM") STOP_WAIT=15
            # A shutdown of Postgres ends with a checkpoint; supervisor would kill it in the middle.
            [[ $PROGRAM != primary && $PROGRAM != standby ]] || STOP_WAIT=180
            render "$HERE/program.conf.tmpl"
        done
    } | put "$SUPERVISOR_CONF" 0600
}
