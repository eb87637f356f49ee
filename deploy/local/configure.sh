# shellcheck shell=bash
# Writes the configuration and the secrets of the local stack. Needs lib.sh and load_settings.

ROLES=(migrator command query replicator standby repmgr pgpool exporter operator)

make_folders() {
    mkdir -p "$LOGS" "$CONF"/{node1,node2,witness,pgpool,haproxy,prometheus,alertmanager,links,tls} "$DATA"/{node1,node2,witness,redis,prometheus,alertmanager,netdata/lib,netdata/cache,netdata/log}
    chmod 0755 "$LOGS" # logrotate of root refuses a folder that a group may write to
    mkdir -p "$RUN" "$BACKUPS" "$SECRETS/jwt"
    chmod 0700 "$RUN" "$BACKUPS" "$SECRETS" "$SECRETS/jwt" "$CONF"/{node1,node2,witness,pgpool}
    ((EUID != 0)) || chown "$PG_USER:" "$RUN" "$BACKUPS" {"$CONF","$DATA"}/{node1,node2,witness} "$CONF/pgpool"
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
    echo "$BIN" | put "$CONF/build" 0644
    render
}

# render [ARGUMENTS]: writes the servers' configurations and the services' environments. The program has a list of what is wrong.
render() (
    local pair
    for pair in "${SETTINGS[@]}"; do export "${pair%%=*}"; done
    export LOCAL_DIR DATA LOGS RUN CONF BIN SECRETS BACKUPS PG_USER PG_VERSION NODE_PROGRAM=$NODE STARTER=$HERE/run
    env PROGRAMS="${PROGRAMS[*]}" "$BIN/render" "$@" || die "render $* failed" "see the lines above"
)

# database_url ROLE PORT[,PORT] PARAMETERS
database_url() {
    echo "postgres://$1:$(secret "$1")@127.0.0.1:${2//,/,127.0.0.1:}/pyramid?sslmode=$SSLMODE$([[ $TLS != yes ]] || echo "&sslrootcert=$CA")${3:+&$3}"
}

# redis COMMAND...: as the operator, who may do everything. With TLS nobody gets in without a password.
redis() {
    local port=(-p "$REDIS_PORT")
    if [[ $TLS != yes ]]; then
        redis-cli "${port[@]}" "$@"
    else
        REDISCLI_AUTH=$(secret operator) redis-cli "${port[@]}" --tls --cacert "$CA" --user operator "$@"
    fi
}
