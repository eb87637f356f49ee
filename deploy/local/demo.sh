# shellcheck shell=bash
# The end of `make up`: logs in, bids, reads the bid back and shows it. Needs lib.sh and procs.sh.

# call METHOD PATH [CURL ARGUMENT]...: sets STATUS, HEADERS (names in lower case) and BODY.
call() {
    local answer
    answer=$(curl -sS -i -m 10 --noproxy '*' -X "$1" "http://127.0.0.1:$HTTP_PORT$2" \
        -H 'Content-Type: application/json' "${@:3}" | tr -d '\r') || die "no answer to $1 $2" "see $LOGS/haproxy.log"
    STATUS=$(head -1 <<<"$answer" | cut -d' ' -f2)
    HEADERS=$(sed '/^$/q' <<<"$answer")
    BODY=$(sed '1,/^$/d' <<<"$answer")
}

header() { grep -i "^$1:" <<<"$HEADERS" | head -1 | cut -d' ' -f2- || true; }

# expect STATUS WHAT PROGRAM
expect() {
    [[ $STATUS == "$1" ]] || die "$2: status $STATUS instead of $1: ${BODY:0:300}" "see $LOGS/$3.log"
}

demo() {
    local token raffle bid lsn
    step "log in, bid and read the bid back"
    call POST /v1/login -d '{"login":"user1","password":"pyramid"}'
    expect 200 "POST /v1/login" command
    token=$(jq -r .access_token <<<"$BODY")
    echo "POST /v1/login {\"login\":\"user1\"} -> $STATUS, a token of ${#token} characters"

    call GET "/v1/raffles?status=open&limit=1"
    expect 200 "GET /v1/raffles" query
    raffle=$(jq -r '.raffles[0].id' <<<"$BODY")
    [[ $raffle != null ]] || die "no raffle is open" "start over with make down clean up"

    call POST "/v1/raffles/$raffle/bids" -H @<(echo "Authorization: Bearer $token") \
        -d "{\"size\":270,\"price\":$((200000 + RANDOM))}"
    expect 201 "POST /v1/raffles/$raffle/bids" command
    lsn=$(header commit-lsn) bid=$(jq -r .id <<<"$BODY")
    echo "POST /v1/raffles/$raffle/bids -> $STATUS, Commit-LSN: $lsn"
    echo "     $BODY"

    read_back "$raffle" "$bid" "$lsn"
    summary "$raffle"
}

# read_back RAFFLE BID LSN: reads the bid until Redis answers, because Redis may still be filled.
read_back() {
    local path="/v1/raffles/$1/bids?size=270&order=newest&limit=50" end=$((SECONDS + 30)) found
    while :; do
        call GET "$path" -H "Min-LSN: $3"
        expect 200 "GET $path" query
        found=$(jq -c ".bids[] | select(.id == $2)" <<<"$BODY")
        [[ -n $found ]] || die "the bid $2 is not in the answer of $(header read-path), Read-LSN $(header read-lsn)" \
            "this must not happen: see $LOGS/query.log and $LOGS/replicator.log"
        [[ $(header read-path) == redis ]] && break
        ((SECONDS < end)) || die "reads still come from $(header read-path) instead of redis" \
            "see $LOGS/replicator.log, then $LOGS/query.log and $LOGS/redis.log"
        sleep 0.2
    done
    echo "GET  $path -> $STATUS with that bid"
    echo "     Read-Path: $(header read-path)  Read-LSN: $(header read-lsn)  Read-Lag-Ms: $(header read-lag-ms)"
}

summary() {
    cat <<END

The stack is up. All users of the seeded data (user1, user2, ..., admin) have the password: pyramid
  front door    http://127.0.0.1:$HTTP_PORT/static.html
  an auction    http://127.0.0.1:$HTTP_PORT/v1/raffles/$1/bids?size=270&order=highest
  statistics    http://127.0.0.1:$STATS_PORT/ (HAProxy)   http://127.0.0.1:$PROMETHEUS_PORT/alerts (Prometheus)
  logs          $LOGS
  lag           $(header read-lag-ms) ms
make status shows all parts; make down stops them.
END
    step "done"
}
