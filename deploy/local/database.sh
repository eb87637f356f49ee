# shellcheck shell=bash
# Steps that make the two database nodes. Needs lib.sh, procs.sh and configure.sh.

# sql NODE STATEMENT: as superuser over the socket; prints bare values.
sql() {
    local port=$PRIMARY_PORT
    [[ $1 == primary ]] || port=$STANDBY_PORT
    env -i PATH="$PATH" PGCONNECT_TIMEOUT=3 \
        psql -XAtq -v ON_ERROR_STOP=1 -h "$RUN" -p "$port" -U postgres -d "${3:-pyramid}" -c "$2"
}

accepts() { sql "$1" "SELECT" postgres; }

start_primary() {
    if [[ ! -e $DATA/primary/PG_VERSION ]]; then
        step "make the primary (initdb)"
        # An attempt that was broken off may have left files, and initdb wants an empty folder.
        rm -rf "$DATA/primary.new"
        install -d -m 0700 -o "$PG_USER" "$DATA/primary.new"
        "${AS_POSTGRES[@]}" initdb -D "$DATA/primary.new" -U postgres -E UTF8 --locale=C.UTF-8 --data-checksums \
            --auth-local=peer --auth-host=scram-sha-256 >"$LOGS/initdb.log" 2>&1 ||
            die "initdb failed" "see $LOGS/initdb.log"
        mv -T "$DATA/primary.new" "$DATA/primary"
    fi
    is_running primary || step "start the primary"
    start_program primary
    wait_for 120 accepts primary || die "the primary does not come up" "see $LOGS/primary.log"
}

prepare_database() {
    step "roles and migrations"
    env -i PATH="$PATH" HOME="$RUN" SECRETS_DIR="$SECRETS" \
        SUPERUSER_URL="postgres://postgres@/postgres?host=$RUN&port=$PRIMARY_PORT" \
        "$ROOT/bin/sql" init || die "the roles could not be made" "see the line above and $LOGS/primary.log"
    (become "$SECRETS/migrator.env" "$ROOT/bin/sql" migrate up) || die "the migrations failed" "see the line above and $LOGS/primary.log"
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

start_standby() {
    [[ -e $DATA/standby/PG_VERSION ]] || clone_standby
    is_running standby || step "start the standby"
    start_program standby
    wait_for 120 accepts standby || die "the standby does not come up" "see $LOGS/standby.log"
    wait_for 60 is_streaming || die "the standby does not stream" \
        "see $LOGS/standby.log, and 'The standby is stuck' in deploy/RUNBOOK.md"
}

is_streaming() {
    [[ $(sql primary "SELECT count(*) FROM pg_stat_replication
        WHERE application_name = 'standby' AND state = 'streaming'") == 1 ]]
}

clone_standby() {
    step "make the standby (pg_basebackup)"
    rm -rf "$DATA/standby.new"
    install -d -m 0700 -o "$PG_USER" "$DATA/standby.new"
    # A slot of an earlier clone may have lost its WAL, and nobody reads it without a standby.
    sql primary "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
        WHERE slot_name = 'standby' AND NOT active" >/dev/null
    "${AS_POSTGRES[@]}" env -i PATH="$PATH" PGPASSFILE="$CONF/standby/pgpass" \
        pg_basebackup -h 127.0.0.1 -p "$PRIMARY_PORT" -U standby -D "$DATA/standby.new" \
        -X stream -c fast -C -S standby >"$LOGS/basebackup.log" 2>&1 ||
        die "pg_basebackup failed" "see $LOGS/basebackup.log"
    "${AS_POSTGRES[@]}" touch "$DATA/standby.new/standby.signal"
    rm -rf "$DATA/standby"
    mv -T "$DATA/standby.new" "$DATA/standby"
}
