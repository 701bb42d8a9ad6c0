// Live receipts: lines come as they happen, the browser comes back by itself, and a line that is told twice is shown once.
const place = document.getElementById("receipts");
const part = (name) => document.getElementById(name);
const lines = part("lines");
/** As many as the page begins with, and as a counter looks back. */
const shownMax = 100;
/** The server asks for that when it has no room. */
const roomAfter = 30_000;
/** Nothing heard for so long, not even the sign of life every 15 seconds: the line is dead, whatever the browser thinks. */
const deadAfter = 40_000;
/** A page is loaded anew no sooner than that, so that no fault makes a counter ask without end. */
const loadedFor = 10_000;
/** Lines of days before: they may be told once more after they have left the page. */
const gone = new Set();
let source;
let last = "";
let watch;

function say(key) {
  const tag = part("live");
  tag.hidden = false;
  tag.textContent = place.dataset[key];
  tag.classList.toggle("off", key !== "on");
}

/** Something was heard. */
function beat() {
  clearTimeout(watch);
  watch = setTimeout(again, deadAfter);
}

function again() {
  source.close();
  say("off");
  open();
}

function show(event) {
  beat();
  last = event.lastEventId || last;
  const told = JSON.parse(event.data);
  const isNewDay = told.day !== place.dataset.day;
  if (isNewDay) {
    place.dataset.day = told.day;
    for (const line of lines.children) gone.add(line.id);
    lines.replaceChildren();
  }
  let fresh = 0;
  const said = [];
  for (const row of told.rows) {
    const id = `r-${row.key}`;
    if (gone.has(id) || document.getElementById(id)) continue;
    lines.insertAdjacentHTML("afterbegin", row.html);
    lines.firstElementChild.classList.add("fresh");
    said.push(row.said);
    if (row.paid) fresh += 1;
  }
  if (said.length > 0) part("said").textContent = said.join(" ");
  while (lines.children.length > shownMax) lines.lastElementChild.remove();
  lines.hidden = lines.children.length === 0;
  part("none").hidden = !lines.hidden;
  part("takings").textContent = told.amount;
  part("count").textContent = told.count;
  part("undone").textContent = told.undone;
  if (fresh > 0) ring(fresh);
  // From now on the connection comes back for this day.
  if (isNewDay) again();
}

function open() {
  const address = new URL(place.dataset.events, location.href);
  address.searchParams.set("day", place.dataset.day);
  if (last) address.searchParams.set("after", last);
  source = new EventSource(address);
  beat();
  source.addEventListener("open", () => {
    beat();
    say("on");
  });
  source.addEventListener("alive", beat);
  source.addEventListener("receipts", show);
  // Signed out, or away for too long: the page as it is now says what to do.
  source.addEventListener("ended", () => {
    source.close();
    location.reload();
  });
  source.addEventListener("behind", () => {
    source.close();
    clearTimeout(watch);
    say("off");
    // One that has just been loaded would be no better for it at once.
    setTimeout(() => location.reload(), Math.max(0, loadedFor - performance.now()));
  });
  source.addEventListener("error", () => {
    const isOver = source.readyState === EventSource.CLOSED;
    say(isOver ? "full" : "off");
    if (!isOver) return;
    clearTimeout(watch);
    watch = setTimeout(again, roomAfter);
  });
}

// The sound is made here: two notes, as a till's bell.
const button = part("sound");
const kept = "receipts-sound";
/** Payments that are told together ring one after the other; a counter that was away is not rung at for minutes. */
const ringsMax = 3;
const secondsApart = 0.7;
/** Whoever asked for the sound and has not got it after so long is told that the browser refuses it. */
const refusedAfter = 1_000;
let audio;
let isOn = false;
/** Something was to ring while the browser let no sound through: it rings once as soon as the browser does. */
let isHeld = false;
let isRefused = false;

const sounds = () => isOn && audio?.state === "running";
const isSilent = () => isOn && !sounds();

function ring(times = 1) {
  if (!isOn) return;
  // Notes that are made now would wait in the browser and sound all at once.
  if (isSilent()) isHeld = true;
  else for (let nth = 0; nth < Math.min(times, ringsMax); nth += 1) bell(audio.currentTime + nth * secondsApart);
}

function bell(at) {
  [880, 1318.5].forEach((pitch, nth) => {
    const note = audio.createOscillator();
    const loudness = audio.createGain();
    const start = at + nth * 0.12;
    note.frequency.value = pitch;
    loudness.gain.setValueAtTime(0.25, start);
    loudness.gain.exponentialRampToValueAtTime(0.001, start + 0.5);
    note.connect(loudness).connect(audio.destination);
    note.start(start);
    note.stop(start + 0.5);
  });
}

/** The button says that it sounds only where it does: browsers let a page make sounds only after it was touched. */
function tell() {
  if (sounds()) {
    isRefused = false;
    if (isHeld) {
      isHeld = false;
      ring();
    }
  }
  const state = !isOn ? "off" : sounds() ? "on" : isRefused ? "refused" : "touch";
  button.setAttribute("aria-pressed", String(sounds()));
  button.textContent = button.dataset[state];
}

/** Browsers also take the sound away again, when the page was away or the system needed it. */
function wake() {
  if (isSilent()) audio?.resume().then(tell, tell);
}

function turn(on) {
  isOn = on;
  isHeld = isHeld && on;
  if (on && !audio) {
    audio = new AudioContext();
    audio.addEventListener("statechange", tell);
  }
  wake();
  tell();
}

function remember(on) {
  try {
    localStorage.setItem(kept, on ? "on" : "off");
  } catch {
    // Not kept then; the button works all the same.
  }
}

if (place && "EventSource" in window) {
  if ("AudioContext" in window) {
    part("sound-line").hidden = false;
    try {
      if (localStorage.getItem(kept) === "on") turn(true);
    } catch {
      // As above.
    }
    // What the button said when it was pressed decides: a press that wakes the sound does not switch it off.
    let wasSilent = false;
    for (const press of ["pointerdown", "keydown"]) {
      button.addEventListener(press, (event) => {
        if (event.repeat) return;
        wasSilent = isSilent();
        // Whoever asks for the sound hears it, once.
        isHeld = isHeld || wasSilent;
      });
    }
    button.addEventListener("click", () => {
      const wakes = wasSilent || isSilent();
      wasSilent = false;
      isHeld = isHeld || isSilent();
      turn(wakes || !isOn);
      remember(isOn);
      if (!wakes) ring();
      if (!isSilent()) return;
      setTimeout(() => {
        isRefused = isSilent();
        tell();
      }, refusedAfter);
    });
    // A finger counts as a touch when it is lifted, a mouse when it is pressed.
    for (const touch of ["pointerdown", "pointerup", "keydown"]) document.addEventListener(touch, wake);
    document.addEventListener("visibilitychange", wake);
  }
  open();
  // A tablet that was asleep comes back at once.
  window.addEventListener("online", again);
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
