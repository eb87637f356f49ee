// The page: it follows the feed, shows what it says, and says since when it says nothing.

const $ = id => document.getElementById(id);
const silentMillis = 3000, kept = 15 * 60e3;
const still = matchMedia("(prefers-reduced-motion: reduce)");

function el(tag, properties, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

const state = { frame: null, heard: 0, offset: 0, samples: [], plots: [], token: "", drawn: 0, shown: {} };

// once calls f only if what it shows has changed, so that a selection and the focus stay.
function once(name, value, f) {
  const text = JSON.stringify(value);
  if (state.shown[name] === text) return;
  state.shown[name] = text;
  f(value);
}

// The feed. A browser does not try again after some answers, and a service that was stopped may have lost the connection.
let feed;
function connect() {
  feed?.close();
  feed = new EventSource("/ops/feed");
  feed.addEventListener("history", e => {
    const h = JSON.parse(e.data);
    state.samples = h.samples;
    once("plots", h.plots, specs => {
      let offset = 0;
      state.plots = specs.map(s => { const p = new Plot(s, offset, h.minutes); offset += s.series.length; return p; });
      $("plots").replaceChildren(...state.plots.map(p => p.figure));
    });
  });
  feed.addEventListener("now", e => {
    state.frame = JSON.parse(e.data);
    state.heard = Date.now();
    state.offset = state.frame.own.at - state.heard;
    if (state.frame.sample.at > (state.samples.at(-1)?.at ?? 0)) state.samples.push(state.frame.sample);
    while (state.samples.length && state.samples[0].at < state.frame.own.at - kept) state.samples.shift();
    show();
  });
}

let asked = Date.now();
setInterval(() => {
  const now = Date.now();
  if (now - Math.max(state.heard, asked) > 15e3 || feed.readyState === EventSource.CLOSED && now - asked > 3000) {
    asked = now;
    connect();
  }
  if (now - state.heard > silentMillis / 2) show();
}, 1000);

// reports are those of all services that are known, with how long each was silent at the last frame.
function reports() {
  const f = state.frame;
  const peers = f.peers.map(p => ({ ...p.report, address: p.address, silent: p.silent_ms, known: Boolean(p.report) }));
  return [{ ...f.own, address: f.own.instance, silent: 0, known: true, own: true }, ...peers];
}

function show() {
  const now = Date.now(), silent = now - state.heard > silentMillis;
  if (state.frame) {
    const all = reports(), own = all[0];
    $("whose").textContent = own.service + " at " + own.instance;
    // Whoever works tells of the read model. A service that waits, or that has no replicator, shows what a peer says.
    const works = all.filter(r => r.service === "replicator" && !r.waits);
    const lead = works.find(r => r.own) ?? works.sort((a, b) => a.silent - b.silent)[0] ?? all.find(r => r.service === "replicator") ?? own;
    showVerdict(own, all, silent, now);
    once("figures", [own, ...(lead === own ? [] : [lead])].flatMap(r => r.figures ?? []), showFigures);
    once("rebuild", lead.rebuild ?? null, showRebuild);
    once("paths", all.filter(r => r.paths).map(r => [r.address, r.silent > 5000, r.paths]), showPaths);
    once("nodes", [lead, ...all].find(r => r.nodes)?.nodes ?? [], showNodes);
    once("compared", lead.compared ?? null, showCompared);
    once("services", all.map(r => [r.address, r.service ?? "–", r.verdict ?? null, r.own ? 0 : Math.floor(r.silent / 1000)]), showServices);
    once("events", all.flatMap(r => (r.events ?? []).map(e => ({ ...e, from: all.length > 1 ? r.service + " " + r.address : "" }))), showEvents);
    once("operable", own.operable, operable => { $("operate").hidden = !operable; });
  }
  $("heard").textContent = state.heard ? "heard " + clock(state.heard) : "not heard yet";
  if (!still.matches || now - state.drawn > 10e3 || silent) draw(now);
}

function draw(now) {
  if (!state.heard) return;
  state.drawn = now;
  for (const p of state.plots) p.update(state.samples, now + state.offset, state.heard + state.offset);
}

function pageOf(address) { return el("a", { href: location.protocol + "//" + address + "/ops", textContent: address }); }

function showVerdict(own, all, silent, now) {
  let { level, text } = own.verdict;
  const problems = [];
  if (silent) {
    level = "bad";
    text = "Nothing heard from the " + own.service + " at " + own.instance + " since " + clock(state.heard);
    problems.push(["What is below is of then: the service is stopped, cut off or gone. Pages of the others: ", ...all.slice(1).filter(r => r.known).map(r => r.address)]);
  } else {
    for (const r of all.slice(1)) {
      if (r.silent > 5000) problems.push(["The " + r.service + " ", r.address, " has said nothing since " + clock(now - r.silent) + "."]);
      else if (r.silent < 0) problems.push(["Not heard yet: ", r.address]);
      else if (r.verdict?.level === "bad" || r.verdict?.level === "doubt") problems.push(["The " + r.service + " ", r.address, ": " + r.verdict.text]);
    }
    if (level === "good" && problems.length) level = "doubt";
  }
  document.title = (level === "good" ? "● " : level === "bad" ? "✗ " : "▲ ") + text;
  once("verdict", [level, text, problems], () => {
    $("verdict").className = "verdict " + level;
    $("verdict").querySelector("h2").textContent = text;
    const addresses = new Set(all.map(r => r.address));
    $("verdict").querySelector("ul").replaceChildren(...problems.map(parts =>
      el("li", {}, ...parts.flatMap((p, i) => addresses.has(p) ? [pageOf(p), i + 1 < parts.length && addresses.has(parts[i + 1]) ? ", " : ""] : [p]))));
  });
}

function showFigures(figures) {
  $("figures").replaceChildren(...figures.map(f =>
    el("div", {}, el("dd", { className: f.level === "good" ? "" : f.level ?? "", textContent: f.value }), el("dt", { textContent: f.name }))));
}

function showRebuild(r) {
  $("rebuild").hidden = !r;
  if (!r) return;
  $("rebuild-why").textContent = r.why;
  const bar = $("rebuild-bar");
  if (r.expected > 0) Object.assign(bar, { max: r.expected, value: Math.min(r.rows, r.expected) });
  else bar.removeAttribute("value");
  $("rebuild-text").textContent = r.expected > 0
    ? `${Math.min(Math.round(100 * r.rows / r.expected), 100)} %: ${grouped(r.rows)} of about ${grouped(r.expected)} rows, ${grouped(r.per_second)} rows/s, ${r.eta_seconds} s left`
    : "nothing copied yet";
  if (r.step) $("rebuild-text").textContent = r.step + ": " + $("rebuild-text").textContent;
  if (r.slot) $("rebuild-text").textContent += ", slot " + r.slot;
  $("rebuild-waits").replaceChildren(...(r.waits_for ?? []).map(w => el("li", { textContent: "waits for a transaction to end: " + w })));
}

// cell is a cell of a table, with its head for narrow screens.
function cell(head, content, className = "") {
  const td = el("td", { className }, content);
  td.dataset.head = head;
  return td;
}

function fill(table, heads, rows) {
  const textual = [...rows[0].cells].map(td => td.classList.contains("text"));
  table.replaceChildren(el("thead", {}, el("tr", {}, ...heads.map((h, i) => el("th", { scope: "col", className: textual[i] ? "text" : "", textContent: h })))), el("tbody", {}, ...rows));
}

function showPaths(services) {
  const names = [...new Set(services.flatMap(([, , paths]) => paths.map(p => p.name)))];
  const longest = Math.max(...services.flatMap(([, , paths]) => paths.map(p => p.micros)), 1);
  const millis = us => measured(us / 1000, "ms");
  const rows = names.flatMap(name => services.flatMap(([address, old, paths], i) => paths.filter(p => p.name === name).map(p => {
    const bar = el("span", { ariaHidden: "true" });
    bar.style.width = 100 * p.micros / longest + "%";
    const trouble = old ? "not heard" : p.spared ? "spared" : p.problem;
    return el("tr", {}, cell("path", name, i ? "same half" : "half"), cell("query", address, "text half"),
      cell("own lookup", trouble ? el("span", { className: "bad", textContent: trouble, title: p.problem ?? "" }) : millis(p.micros)),
      cell("", trouble ? "" : bar, "bar"),
      cell("behind", p.lag_ms < 0 ? "–" : measured(p.lag_ms, "ms")), cell("reads", measured(p.reads, "/s")), cell("p99", p.p99_micros ? millis(p.p99_micros) : "–"));
  })));
  if (!rows.length) rows.push(el("tr", {}, cell("", "no instance of query is heard", "wide text")));
  fill($("paths"), rows.length > 1 ? ["path", "query", "own lookup", "", "behind", "reads", "p99"] : [], rows);
}

function showNodes(nodes) {
  const rows = nodes.map(n => el("tr", {}, cell("node", n.address, "text wide"), cell("role", el("span", { className: n.level === "good" ? "" : n.level, textContent: n.role }), "text"),
    cell("timeline", n.timeline ? String(n.timeline) : "–"), cell("position", n.position ?? "–"), cell("behind", n.behind ?? "–")));
  if (!rows.length) rows.push(el("tr", {}, cell("", "no replicator is heard", "wide text")));
  fill($("nodes"), nodes.length ? ["node", "role", "timeline", "position", "behind"] : [], rows);
}

function showCompared(c) {
  const parts = [];
  const line = (text, className = "") => parts.push(el("p", { className, textContent: text }));
  if (!c) line("No replicator is heard.");
  else {
    if (c.off) line("Nothing is compared in the background (VERIFY_INTERVAL=0).");
    else line(`${grouped(c.keys)} keys compared since the start, ${c.last_pass ? c.passes + (c.passes === 1 ? " whole pass" : " whole passes") + ", the last at " + clock(c.last_pass) : "no whole pass yet"}.`);
    if (!c.off) line(c.divergent ? grouped(c.divergent) + (c.divergent === 1 ? " key differs" : " keys differ") + " from the primary:" : "No key differs from the primary.", c.divergent ? "bad" : "good");
    if (c.findings) parts.push(el("ul", {}, ...c.findings.map(f => el("li", {}, el("code", { textContent: f })))));
    if (c.problem) line("Not compared: " + c.problem, "doubt");
    if (c.asked) asksOf(c.asked, parts, line);
  }
  $("compared").replaceChildren(...parts);
}

function asksOf(a, parts, line) {
  const what = a.repair ? "repair" : "comparison";
  if (!a.running) { line(`Asked for, ${what}: ${a.result}`, a.level); return; }
  line(`Asked for, ${what}: ${a.step || "begins"}`);
  parts.push(el("progress", { ariaLabel: what, ...(a.total ? { max: a.total, value: a.done } : {}) }));
}

function showServices(services) {
  fill($("services"), ["service", "address", "says"], services.map(([address, service, verdict, silent], i) => el("tr", {},
    cell("service", service, "half"), cell("address", i ? pageOf(address) : address, "text half"),
    cell("says", silent > 5 || silent < 0 ? el("span", { className: "bad", textContent: silent < 0 ? "not heard yet" : "nothing for " + silent + " s" }) : verdict?.text ?? "–", "text wide says"))));
}

function showEvents(events) {
  events.sort((a, b) => b.at - a.at || b.id - a.id);
  $("events").replaceChildren(...events.slice(0, 100).map(e => el("li", {}, el("time", { className: e.level, dateTime: new Date(e.at).toISOString(), textContent: clock(e.at) }),
    el("span", { textContent: e.text + (e.count > 1 ? ` (${e.count} times)` : "") }), el("span", { className: "note from", textContent: e.from }))));
}

new ResizeObserver(() => draw(Date.now())).observe($("plots"));
