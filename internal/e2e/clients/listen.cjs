// Listens to the live feed of a raffle as a browser would and prints one line for each thing that comes:
// "bid <id>", or the event's name. Usage: node listen.cjs sse|websocket|polling BASE_URL RAFFLE_ID
const [kind, base, raffle] = process.argv.slice(2);
const print = (line) => process.stdout.write(line + "\n");

function listenToEventSource() {
  const { EventSource } = require("eventsource");
  const source = new EventSource(`${base}/v1/raffles/${raffle}/live`);
  source.addEventListener("open", () => print("joined"));
  source.addEventListener("bid", (e) => print("bid " + JSON.parse(e.data).id));
  for (const name of ["cancel", "close", "reset"]) source.addEventListener(name, () => print(name));
}

function listenToSocketIO(transports) {
  const { io } = require("socket.io-client");
  const socket = io(base + "/raffles", { transports });
  let last;
  socket.on("connect", () => {
    socket.emit("join", { raffle_id: Number(raffle), last_event_id: last }, (answer) => {
      last ??= answer.last_event_id;
      print(answer.error ? "refused: " + answer.error : "joined");
    });
  });
  socket.on("bidList", (bids, id) => {
    last = id;
    for (const bid of bids) print("bid " + bid.id);
  });
  for (const name of ["cancel", "close", "reset", "error"]) socket.on(name, (_, id) => { last = id ?? last; print(name); });
}

if (kind === "sse") listenToEventSource();
else listenToSocketIO(kind === "polling" ? ["polling"] : ["polling", "websocket"]);
