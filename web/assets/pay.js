// At the counter: keys type without a round trip, and a confirmation whose answer got lost is asked for again with its key.
const decimals = 2;
const characters = 11;
const tries = 5;
const patience = 15_000;

/** What stands in the field after a key; the server does the same where no script runs (src/base/typed.rs). */
function pressed(typed, key) {
  if (key === "back") return typed.slice(0, -1);
  if (key === "." && typed.includes(".")) return typed;
  const rest = typed === "0" && key !== "." ? "" : typed;
  const next = rest + (rest === "" ? { ".": "0.", "00": "0" }[key] ?? key : key);
  const fits = (next.split(".")[1] ?? "").length <= decimals && next.length <= characters;
  return fits ? next : typed;
}

function keypad(form) {
  const field = form.elements.amount;
  // The page's own keys are enough on a phone; a keyboard still types.
  if (matchMedia("(pointer: coarse)").matches) field.inputMode = "none";
  form.addEventListener("click", (event) => {
    const key = event.target.closest("button[name=press]");
    if (!key) return;
    event.preventDefault();
    field.value = pressed(field.value, key.value);
    // A field that a script changes is read out to nobody.
    form.querySelector("output").textContent = field.value;
  });
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function send(form, body) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), patience);
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "text/html" }, signal: controller.signal });
    // A failure on the way says nothing of what became of the payment.
    if (answer.status >= 500) throw new Error(String(answer.status));
    return answer;
  } finally {
    clearTimeout(timer);
  }
}

function once(form) {
  const status = form.querySelector("[role=status]");
  const button = form.querySelector("button[type=submit]");
  const say = (words) => {
    status.textContent = words;
    status.hidden = false;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.sending) return;
    form.dataset.sending = "yes";
    button.setAttribute("aria-busy", "true");
    say(form.dataset.asking);
    const body = new URLSearchParams(new FormData(form));
    for (let attempt = 1; attempt <= tries; attempt += 1) {
      try {
        const answer = await send(form, body);
        if (answer.redirected) return location.replace(answer.url);
        return show(await answer.text());
      } catch {
        say(form.dataset.lost);
        if (attempt < tries) await pause(500 * 2 ** attempt);
      }
    }
    say(form.dataset.giveUp);
    delete form.dataset.sending;
    button.removeAttribute("aria-busy");
  });
}

/** An amount that is typed is the part that is meant, and choosing all of it takes the amount away. */
function part(form) {
  const { amount, how } = form.elements;
  form.addEventListener("input", ({ target }) => {
    if (target === amount && amount.value !== "") how.value = "part";
    if (target.name === "how" && how.value === "all") amount.value = "";
  });
}

/** Puts the answer's page in the place of this one, under the same address. What is no page of ours came from something on the way. */
function show(text) {
  const answer = new DOMParser().parseFromString(text, "text/html");
  const main = answer.querySelector("main");
  if (!main) throw new Error("no page of ours");
  document.title = answer.title;
  document.querySelector("main").replaceWith(main);
  start();
  (document.querySelector("[aria-invalid=true]") ?? document.querySelector("[role=alert]:not([hidden])"))?.focus?.();
  scrollTo(0, 0);
}

function start() {
  document.querySelectorAll("form[data-keypad]").forEach(keypad);
  for (const form of document.querySelectorAll("form[data-once]")) {
    once(form);
    if (form.elements.how) part(form);
  }
}

start();
