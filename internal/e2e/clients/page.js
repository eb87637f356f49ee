// A page that does through the API what a client in a browser does, and sends its own server what came of each step.
// Its address names the API (api) and the raffle (raffle).
const address = new URLSearchParams(location.search);
const api = address.get("api");
const raffle = Number(address.get("raffle"));
const steps = {};

async function step(name, run) {
  try {
    steps[name] = await run();
  } catch (e) {
    steps[name] = "refused";
    console.log(name, e);
  }
}

// seen is the status and those of the named headers that the page may read.
const seen = (answer, ...names) => [answer.status, ...names.filter((name) => answer.headers.has(name))].join(" ");

// follow begins a feed. joined is done once it is open, bid once it has brought the bid with that id.
function follow(kind) {
  const got = new Map();
  const bid = (id) => new Promise((done) => got.has(id) ? done("bid") : got.set(id, () => done("bid")));
  const bring = (id) => got.has(id) ? got.get(id)() : got.set(id, () => {});
  const joined = new Promise((done, fail) => {
    if (kind === "sse") {
      const source = new EventSource(`${api}/v1/raffles/${raffle}/live`);
      source.addEventListener("start", done);
      source.addEventListener("error", () => source.readyState === EventSource.CLOSED && fail("closed"));
      source.addEventListener("bid", (e) => bring(JSON.parse(e.data).id));
      return;
    }
    const socket = io(`${api}/raffles`, { transports: [kind], reconnection: false });
    socket.on("connect_error", fail);
    socket.on("connect", () => socket.emit("join", { raffle_id: raffle }, (answer) => answer.error ? fail(answer.error) : done()));
    socket.on("bidList", (bids) => bids.forEach((b) => bring(b.id)));
  });
  return { kind, joined, bid };
}

async function run() {
  const json = { "Content-Type": "application/json" };
  const bids = `${api}/v1/raffles/${raffle}/bids`;
  const send = (method, url, headers, body) => fetch(url, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  let token, id, lsn, tag;

  await step("error", async () => {
    const answer = await send("GET", `${api}/v1/me/bids`, {});
    return `${seen(answer, "WWW-Authenticate", "X-Request-Id")} ${(await answer.json()).type}`;
  });
  await step("wrong method", async () => seen(await send("POST", `${bids}/1`, json, {}), "Allow"));
  await step("nothing there", async () => seen(await send("POST", `${api}/v1/none`, json, {})));
  await step("login", async () => {
    const answer = await send("POST", `${api}/v1/login`, json, { login: "user1", password: "pyramid" });
    token = (await answer.json()).access_token;
    return seen(answer);
  });
  const feeds = ["sse", "websocket", "polling"].map(follow);
  for (const feed of feeds) await step(`${feed.kind} joins`, async () => { await feed.joined; return "joined"; });
  const headers = { ...json, Authorization: `Bearer ${token}`, "Idempotency-Key": key };
  const place = () => send("POST", bids, headers, { size: 270, price: 250000 });
  await step("bid", async () => {
    const answer = await place();
    lsn = answer.headers.get("Commit-LSN");
    id = (await answer.json()).id;
    return seen(answer, "Commit-LSN", "Location");
  });
  await step("bid again", async () => seen(await place(), "Idempotency-Replayed"));
  await step("read", async () => {
    const answer = await send("GET", `${bids}?size=270`, { "Min-LSN": lsn, "X-Request-Id": "mine" });
    const found = (await answer.json()).bids.some((b) => b.id === id);
    return `${seen(answer, "Read-Path", "Read-LSN", "Read-Lag-Ms", "X-Request-Id")} ${found}`;
  });
  await step("list", async () => {
    const answer = await send("GET", `${api}/v1/raffles`, {});
    tag = answer.headers.get("ETag");
    return seen(answer, "ETag");
  });
  await step("list again", async () => seen(await send("GET", `${api}/v1/raffles`, { "If-None-Match": tag })));
  for (const feed of feeds) await step(feed.kind, () => id ? feed.bid(id) : Promise.reject("no bid"));
  await step("cancel", async () => seen(await send("DELETE", `${bids}/${id}`, headers)));
  await fetch("/steps", { method: "POST", body: JSON.stringify(steps) });
}

run();
