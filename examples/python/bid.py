"""A bidder's whole flow with Python's standard library alone: python3 examples/python/bid.py

STOCK_PYRAMID_URL names the front door; without it that of `make up` is asked.
"""

import http.client
import json
import os
import random
import secrets
import sys
import time
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

BASE = os.environ.get("STOCK_PYRAMID_URL", "http://127.0.0.1:8080").rstrip("/")
ATTEMPTS = 5
RETRIED = {429, 502, 503, 504}


class Failed(Exception):
    """A step failed. The text says why."""


def call(method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[Message, Any]:
    """Return an answer's headers and content. After no answer, a 429, 502, 503 or 504, the request is sent again.

    This is safe, because reads change nothing, a registration and a bid have an Idempotency-Key, and the API lets the
    other requests here be repeated. Without a key a bid that is sent twice may be placed twice.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    failure = ""
    for attempt in range(1, ATTEMPTS + 1):
        # The pauses double, and are random, so that clients that failed together do not come back together.
        pause = 0.1 * 2**attempt * random.uniform(0.5, 1)
        try:
            response = urllib.request.urlopen(request, timeout=20)
            if response.headers.get_content_type() == "text/event-stream":
                return response.headers, response
            with response:
                text = response.read()
            return response.headers, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            # An error is a problem document (RFC 9457). A program decides by its type.
            is_problem = error.headers.get_content_type() == "application/problem+json"
            document = json.load(error) if is_problem else {"type": error.code, "detail": error.reason}
            failure = f"{document['type']}: {document['detail']}"
            if error.code not in RETRIED:
                break
            pause = float(error.headers.get("Retry-After") or pause)
        except (OSError, http.client.HTTPException) as error:
            failure = f"no answer: {getattr(error, 'reason', error)}"
        if attempt < ATTEMPTS:
            time.sleep(pause)
    raise Failed(f"{method} {BASE}{path}: {failure}")


def await_event(feed: http.client.HTTPResponse, name: str, bid_id: int | None = None) -> None:
    """Read the feed until the event comes (of this bid). An event is a line `event: NAME` and a line `data: JSON`."""
    event, end = "", time.monotonic() + 20
    for line in feed:  # a comment comes every 15 s, so the clock is looked at
        field, _, value = line.decode().rstrip().partition(": ")
        if field == "event":
            event = value
        elif field == "data" and event == name and bid_id in (None, json.loads(value).get("id")):
            return
        if time.monotonic() > end:
            break
    raise Failed(f"the feed has not shown the event {name}")


def main() -> None:
    credentials = {"login": f"bidder-{secrets.token_hex(16)}", "password": secrets.token_urlsafe(16)}
    _, user = call("POST", "/v1/users", credentials, {"Idempotency-Key": secrets.token_hex(16)})
    print(f"registered as {user['login']}, user {user['id']}")
    _, tokens = call("POST", "/v1/login", credentials)
    authorization = {"Authorization": f"Bearer {tokens['access_token']}"}
    print(f"logged in for {tokens['expires_in']} s")
    _, page = call("GET", "/v1/raffles?status=open&limit=1&expand=product")
    if not page["raffles"]:
        raise Failed("no raffle is open")
    raffle_id = page["raffles"][0]["id"]
    print(f"raffle {raffle_id} is open: {page['raffles'][0]['product']['name']}")
    _, raffle = call("GET", f"/v1/raffles/{raffle_id}")
    print("sizes and highest prices:", ", ".join(f"{s['size']}: {s['highest']}" for s in raffle["sizes"]))
    size, price = next(((s["size"], s["highest"] + 1000) for s in raffle["sizes"]), (270, 100_000))

    # The feed is opened before the bid, so that the bid is in it. A client that stays longer opens it again when it ends,
    # and sends the last event's id as Last-Event-ID, so that nothing is missed.
    _, feed = call("GET", f"/v1/raffles/{raffle_id}/live?size={size}")
    await_event(feed, "start")
    print(f"following the bids for size {size}")
    # One key for one bid: every attempt has the same key, so that the bid is placed once, and each gets the same answer.
    key = {"Idempotency-Key": secrets.token_hex(16)}
    answer, bid = call("POST", f"/v1/raffles/{raffle_id}/bids", {"size": size, "price": price}, authorization | key)
    bid_id = bid["id"]
    print(f"bid {bid_id} of {price} KRW is placed{', by an earlier attempt' if 'Idempotency-Replayed' in answer else ''}")
    with feed:
        await_event(feed, "bid", bid_id)
    print(f"the feed shows bid {bid_id}")

    # Whichever copy of the data answers, it has reached the position of the bid's commit.
    position = {"Min-LSN": answer["Commit-LSN"]}
    answer, page = call("GET", f"/v1/raffles/{raffle_id}/bids?size={size}", headers=position)
    if not any(b["id"] == bid_id for b in page["bids"]):
        raise Failed(f"the list does not hold bid {bid_id}")
    print(f"the list of size {size} holds bid {bid_id}, says {answer['Read-Path']}")
    _, page = call("GET", f"/v1/me/bids?raffle={raffle_id}", headers=authorization | position)
    if not any(b["id"] == bid_id for b in page["bids"]):
        raise Failed(f"my bids do not hold bid {bid_id}")
    print("my bids:", ", ".join(f"{b['id']} is {b['standing']}" for b in page["bids"]))
    call("DELETE", f"/v1/raffles/{raffle_id}/bids/{bid_id}", headers=authorization)
    print(f"cancelled bid {bid_id}")
    # A refresh token is traded once. The answer has the next one.
    _, tokens = call("POST", "/v1/token", {"refresh_token": tokens["refresh_token"]})
    print("traded the refresh token for new tokens")
    call("POST", "/v1/logout", {"refresh_token": tokens["refresh_token"]})
    print("logged out")
    print(f"done: bid {bid_id} of raffle {raffle_id} was placed once, seen and cancelled")


if __name__ == "__main__":
    try:
        main()
    except (Failed, OSError, http.client.HTTPException) as error:
        sys.exit(f"FAILED: {error}")
