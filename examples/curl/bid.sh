#!/usr/bin/env bash
# A bidder's whole flow with curl and jq: examples/curl/bid.sh
# STOCK_PYRAMID_URL names the front door; without it that of `make up` is asked.
set -euo pipefail

base=${STOCK_PYRAMID_URL:-http://127.0.0.1:8080}
base=${base%/}
json=(-H 'Content-Type: application/json' -d)
work=$(mktemp -d)
feed_pid=

finish() {
    [[ -z $feed_pid ]] || kill "$feed_pid" 2>/dev/null || true # it may have ended by itself
    rm -rf "$work"
}
trap finish EXIT

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
body() { jq -r "$@" "$work/body"; }
header() { sed -n "s/^$1: \(.*\)\r$/\1/Ip" "$work/headers" | tail -n 1; }

# call METHOD PATH [OPTION...] leaves an answer for `body` and `header`. After a lost connection, a 429, or an error that may
# pass, such as 503, curl sends the request again, at most four times. It waits a second, or longer if Retry-After says so.
# This is safe, because reads change nothing, a registration and a bid have an Idempotency-Key, and the API lets the other
# requests here be repeated. Without a key a bid that is sent twice may be placed twice.
call() {
    local method=$1 path=$2 status
    shift 2
    status=$(curl -sS -X "$method" "$base$path" -o "$work/body" -D "$work/headers" -w '%{http_code}' --max-time 10 \
        --retry 4 --retry-delay 1 --retry-all-errors "$@" 2>"$work/errors") ||
        fail "$method $base$path: no answer: $(tail -n 1 "$work/errors")"
    # An error is a problem document (RFC 9457). A program decides by its type.
    ((status < 400)) || fail "$method $base$path: $(body '"\(.type): \(.detail)"' 2>/dev/null || echo "status $status")"
}

# await EVENT FILTER reads the feed until the event comes with data for which the filter of jq is true. An event is a line
# `event: NAME` and a line `data: JSON`. A comment comes every 15 s, so the clock is looked at.
await() {
    local event='' line end=$((SECONDS + 20))
    while ((SECONDS < end)) && IFS= read -r -t 20 line <&"$feed"; do
        case $line in
        'event: '*) event=${line#event: } ;;
        'data: '*) [[ $event != "$1" ]] || ! jq -e "$2" <<<"${line#data: }" >/dev/null || return 0 ;;
        esac
    done
    fail "the feed has not shown the event $1"
}

credentials=$(jq -n --arg login "bidder-$(random)" --arg password "$(random)" '{$login, $password}')
call POST /v1/users -H "Idempotency-Key: $(random)" "${json[@]}" "$credentials"
echo "registered as $(body .login), user $(body .id)"

call POST /v1/login "${json[@]}" "$credentials"
authorization="Authorization: Bearer $(body .access_token)"
refresh_token=$(body .refresh_token)
echo "logged in for $(body .expires_in) s"

call GET '/v1/raffles?status=open&limit=1&expand=product'
raffle=$(body '.raffles[0].id // empty')
[[ -n $raffle ]] || fail 'no raffle is open'
echo "raffle $raffle is open: $(body '.raffles[0].product.name')"

call GET "/v1/raffles/$raffle"
echo "sizes and highest prices: $(body '[.sizes[] | "\(.size): \(.highest)"] | join(", ")')"
size=$(body '.sizes[0].size // 270')
price=$(body '(.sizes[0].highest // 99000) + 1000')

# The feed is opened before the bid, so that the bid is in it. A client that stays longer opens it again when it ends, and
# sends the last event's id as Last-Event-ID, so that nothing is missed.
exec {feed}< <(exec curl -sN --retry 4 "$base/v1/raffles/$raffle/live?size=$size")
feed_pid=$!
await start true
echo "following the bids for size $size"

# One key for one bid: every attempt has the same key, so that the bid is placed once, and each gets the same answer.
call POST "/v1/raffles/$raffle/bids" -H "$authorization" -H "Idempotency-Key: $(random)" \
    "${json[@]}" "{\"size\": $size, \"price\": $price}"
bid=$(body .id)
commit_lsn=$(header Commit-LSN)
replayed=$(header Idempotency-Replayed) # only there if an earlier attempt has placed the bid
echo "bid $bid of $price KRW is placed${replayed:+, by an earlier attempt}"

await bid ".id == $bid"
echo "the feed shows bid $bid"

# Whichever copy of the data answers, it has reached the position of the bid's commit.
call GET "/v1/raffles/$raffle/bids?size=$size" -H "Min-LSN: $commit_lsn"
[[ $(body ".bids | any(.id == $bid)") == true ]] || fail "the list does not hold bid $bid"
echo "the list of size $size holds bid $bid, says $(header Read-Path)"

call GET "/v1/me/bids?raffle=$raffle" -H "$authorization" -H "Min-LSN: $commit_lsn"
[[ $(body ".bids | any(.id == $bid)") == true ]] || fail "my bids do not hold bid $bid"
echo "my bids: $(body '[.bids[] | "\(.id) is \(.standing)"] | join(", ")')"

call DELETE "/v1/raffles/$raffle/bids/$bid" -H "$authorization"
echo "cancelled bid $bid"

# A refresh token is traded once. The answer has the next one.
call POST /v1/token "${json[@]}" "$(jq -n --arg refresh_token "$refresh_token" '{$refresh_token}')"
refresh_token=$(body .refresh_token)
echo "traded the refresh token for new tokens"

call POST /v1/logout "${json[@]}" "$(jq -n --arg refresh_token "$refresh_token" '{$refresh_token}')"
echo 'logged out'

echo "done: bid $bid of raffle $raffle was placed once, seen and cancelled"
