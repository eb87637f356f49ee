// A bidder's whole flow with Node's fetch and nothing else: npx tsx examples/typescript/bid.ts (or node, from 22.18 on)
// STOCK_PYRAMID_URL names the front door; without it that of `make up` is asked.
export {}; // makes this file a module
const base = (process.env.STOCK_PYRAMID_URL ?? "http://127.0.0.1:8080").replace(/\/$/, "");
const attempts = 5;
const retried = [429, 502, 503, 504];
type Answer<T> = { headers: Headers; body: T };
type Tokens = { access_token: string; refresh_token: string; expires_in: number };
type Raffle = { id: number; product: { name: string }; sizes: { size: number; highest: number }[] };
type Bid = { id: number; standing?: string };
type FeedEvent = { name: string; data: { id?: number } };

/**
 * Returns an answer's headers and content. After no answer, a 429, 502, 503 or 504, the request is sent again.
 *
 * This is safe, because reads change nothing, a registration and a bid have an Idempotency-Key, and the API lets the
 * other requests here be repeated. Without a key a bid that is sent twice may be placed twice.
 */
async function call<T>(method: string, path: string, headers: Record<string, string> = {}, body?: object): Promise<Answer<T>> {
  for (let attempt = 1; ; attempt++) {
    let failure: string;
    let again = attempt < attempts;
    // The pauses double, and are random, so that clients that failed together do not come back together.
    let pause = 0.1 * 2 ** attempt * (0.5 + Math.random() / 2);
    try {
      const response = await fetch(base + path, {
        method,
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(20_000), // ends the feed, too; a feed that stays open has no such limit
      });
      const type = response.headers.get("Content-Type");
      if (response.ok && type === "text/event-stream") return { headers: response.headers, body: response.body as T };
      const text = await response.text();
      if (response.ok) return { headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
      // An error is a problem document (RFC 9457). A program decides by its type.
      const problem = type === "application/problem+json" ? JSON.parse(text) : { type: "status", detail: response.status };
      failure = `${problem.type}: ${problem.detail}`;
      again &&= retried.includes(response.status);
      pause = Number(response.headers.get("Retry-After") ?? pause);
    } catch (error) {
      failure = `no answer: ${error instanceof Error ? (error.cause ?? error.message) : error}`;
    }
    if (!again) throw new Error(`${method} ${base}${path}: ${failure}`);
    await new Promise((wake) => setTimeout(wake, pause * 1000));
  }
}

/** Yields the events of a feed. An event is a line `event: NAME` and a line `data: JSON`. */
async function* events(stream: ReadableStream<Uint8Array>): AsyncGenerator<FeedEvent, void> {
  const reader = stream.getReader();
  try {
    for (let text = "", name = "", decoder = new TextDecoder(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (text + decoder.decode(value, { stream: true })).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith("event: ")) name = line.slice("event: ".length);
        if (line.startsWith("data: ")) yield { name, data: JSON.parse(line.slice("data: ".length)) };
      }
    }
  } finally {
    await reader.cancel();
  }
}

async function awaitEvent(feed: AsyncGenerator<FeedEvent, void>, name: string, id?: number): Promise<void> {
  for (;;) {
    const { done, value } = await feed.next();
    if (done) throw new Error(`the feed has not shown the event ${name}`);
    if (value.name === name && value.data.id === id) return; // `start` has no id
  }
}

async function main(): Promise<void> {
  const credentials = { login: `bidder-${crypto.randomUUID()}`, password: crypto.randomUUID() };
  const user = await call<{ id: number }>("POST", "/v1/users", { "Idempotency-Key": crypto.randomUUID() }, credentials);
  console.log(`registered as ${credentials.login}, user ${user.body.id}`);
  const login = await call<Tokens>("POST", "/v1/login", {}, credentials);
  const authorization = { Authorization: `Bearer ${login.body.access_token}` };
  console.log(`logged in for ${login.body.expires_in} s`);
  const open = await call<{ raffles: Raffle[] }>("GET", "/v1/raffles?status=open&limit=1&expand=product");
  const listed = open.body.raffles[0];
  if (!listed) throw new Error("no raffle is open");
  const raffle = `/v1/raffles/${listed.id}`;
  console.log(`raffle ${listed.id} is open: ${listed.product.name}`);
  const { sizes } = (await call<Raffle>("GET", raffle)).body;
  console.log(`sizes and highest prices: ${sizes.map((s) => `${s.size}: ${s.highest}`).join(", ")}`);
  const { size, highest } = sizes[0] ?? { size: 270, highest: 99_000 };

  // The feed is opened before the bid, so that the bid is in it. A client that stays longer opens it again when it ends,
  // and sends the last event's id as Last-Event-ID, so that nothing is missed.
  const feed = events((await call<ReadableStream<Uint8Array>>("GET", `${raffle}/live?size=${size}`)).body);
  await awaitEvent(feed, "start");
  console.log(`following the bids for size ${size}`);

  // One key for one bid: every attempt has the same key, so that the bid is placed once, and each gets the same answer.
  const key = { "Idempotency-Key": crypto.randomUUID() };
  const placed = await call<Bid>("POST", `${raffle}/bids`, { ...authorization, ...key }, { size, price: highest + 1000 });
  const { id } = placed.body;
  const replayed = placed.headers.has("Idempotency-Replayed");
  console.log(`bid ${id} of ${highest + 1000} KRW is placed${replayed ? ", by an earlier attempt" : ""}`);
  await awaitEvent(feed, "bid", id);
  await feed.return();
  console.log(`the feed shows bid ${id}`);

  // Whichever copy of the data answers, it has reached the position of the bid's commit.
  const position = { "Min-LSN": placed.headers.get("Commit-LSN") ?? "" };
  const list = await call<{ bids: Bid[] }>("GET", `${raffle}/bids?size=${size}`, position);
  if (!list.body.bids.some((bid) => bid.id === id)) throw new Error(`the list does not hold bid ${id}`);
  console.log(`the list of size ${size} holds bid ${id}, says ${list.headers.get("Read-Path")}`);
  const mine = await call<{ bids: Bid[] }>("GET", `/v1/me/bids?raffle=${listed.id}`, { ...authorization, ...position });
  if (!mine.body.bids.some((bid) => bid.id === id)) throw new Error(`my bids do not hold bid ${id}`);
  console.log(`my bids: ${mine.body.bids.map((bid) => `${bid.id} is ${bid.standing}`).join(", ")}`);
  await call("DELETE", `${raffle}/bids/${id}`, authorization);
  console.log(`cancelled bid ${id}`);
  // A refresh token is traded once. The answer has the next one.
  const next = await call<Tokens>("POST", "/v1/token", {}, { refresh_token: login.body.refresh_token });
  console.log("traded the refresh token for new tokens");
  await call("POST", "/v1/logout", {}, { refresh_token: next.body.refresh_token });
  console.log("logged out");
  console.log(`done: bid ${id} of raffle ${listed.id} was placed once, seen and cancelled`);
}

main().catch((error: Error) => {
  console.error(`FAILED: ${error.message}`);
  process.exit(1);
});
