// What an admin may ask for. The token stays in this script; the buttons are there only once the service has accepted it.

const actions = [
  { name: "Compare all", path: "/v1/verify", sure: "" },
  { name: "Repair", path: "/v1/repair", sure: "Compare everything and load anew what differs? SQL serves the parts that are loaded." },
  { name: "Rebuild", path: "/v1/rebuild", sure: "Copy everything anew into the next epoch? The present one is served meanwhile, and falls behind." },
];

// ask sends a request with the token and returns the answer as JSON; the error's message is the problem's detail.
async function ask(method, path) {
  const w = await fetch(path, { method, headers: { Authorization: "Bearer " + state.token } });
  const body = await w.json().catch(() => ({}));
  if (w.ok) return body;
  if (w.status === 401 || w.status === 403) forget();
  throw new Error(body.detail ?? w.status + " " + w.statusText);
}

function forget() {
  state.token = "";
  $("buttons").replaceChildren();
  $("token-form").hidden = false;
}

function answer(text, level = "") { Object.assign($("answer"), { textContent: text, className: level }); }

async function sure(action) {
  if (!action.sure) return true;
  $("sure-text").textContent = action.sure;
  $("sure-yes").textContent = action.name;
  $("sure").returnValue = "no";
  $("sure").showModal();
  await new Promise(done => $("sure").addEventListener("close", done, { once: true }));
  return $("sure").returnValue === "yes";
}

async function act(action) {
  if (!await sure(action)) return;
  try {
    await ask("POST", action.path);
    answer(action.name + ": asked for. What comes of it is shown above.", "good");
  } catch (e) {
    answer(action.name + ": " + e.message, "bad");
  }
}

$("token-form").addEventListener("submit", async e => {
  e.preventDefault();
  state.token = $("token").value.trim();
  $("token").value = "";
  try {
    await ask("GET", "/ops/token");
  } catch (e) {
    answer(e.message, "bad");
    return;
  }
  $("token-form").hidden = true;
  answer("The token is accepted.", "good");
  const buttons = actions.map(a => el("button", { type: "button", textContent: a.name, onclick: () => act(a) }));
  buttons.push(el("button", { type: "button", textContent: "Forget the token", onclick: () => { forget(); answer(""); } }));
  $("buttons").replaceChildren(...buttons);
  buttons[0].focus();
});

connect();
