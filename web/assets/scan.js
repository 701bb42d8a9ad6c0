// Reads a merchant's code with the camera, or from a picture, and sends what it says to the page's own form.
const finder = document.querySelector("[data-finder]");
const video = finder.querySelector("video");
const status = finder.querySelector("[role=status]");
const form = document.querySelector("form[action='/scan']");
const start = finder.querySelector("[data-start]");
const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });
/** The longest side in pixels, and the milliseconds to look for: a frame of the camera is followed by the next one. */
const frame = { longest: 800, patience: 16 };
/** A picture is all that there is, and may be of a whole wall with a small code on it. */
const picture = { longest: 2000, patience: 1_000 };

let decodeQR;
let failures = 0;

/** Brings what reads codes; without network it says so. A browser may not ask twice for a module that did not come. */
async function load() {
  try {
    // Said beforehand, or the bundler looks for the file, which is not there yet.
    const address = `${LATE.decode}?${failures}`;
    ({ decodeQR } = await import(address));
    return true;
  } catch {
    failures += 1;
    status.textContent = document.body.dataset.offline;
    return false;
  }
}

/** What the code in a picture says; nothing where none is found. */
function read(source, width, height, { longest, patience }) {
  const scale = Math.min(1, longest / Math.max(width, height));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  try {
    return decodeQR(context.getImageData(0, 0, canvas.width, canvas.height), { timeLimit: patience });
  } catch {
    // Most frames hold no code, or half of one.
    return undefined;
  }
}

function found(text) {
  close();
  form.elements.scanned.value = text;
  form.querySelector("button[type=submit]").click();
}

function look() {
  if (!video.srcObject) return;
  if (video.readyState === video.HAVE_ENOUGH_DATA) {
    const text = read(video, video.videoWidth, video.videoHeight, frame);
    if (text) return found(text);
  }
  requestAnimationFrame(look);
}

async function open() {
  if (!navigator.mediaDevices?.getUserMedia) {
    status.textContent = finder.dataset.none;
    return;
  }
  start.disabled = true;
  if (!(await load())) {
    start.disabled = false;
    return;
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
    video.hidden = false;
    start.hidden = true;
    status.textContent = finder.dataset.looking;
    await video.play();
    requestAnimationFrame(look);
  } catch (error) {
    close();
    status.textContent = error.name === "NotFoundError" ? finder.dataset.none : finder.dataset.denied;
  }
}

function close() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  video.hidden = true;
  start.hidden = false;
  start.disabled = false;
  status.textContent = "";
}

// As data, which our content policy lets pictures be made of.
const asData = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

start.addEventListener("click", open);
finder.querySelector("input[type=file]").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  // Choosing the same picture again is a change, too.
  target.value = "";
  if (!file || !(await load())) return;
  const image = new Image();
  try {
    image.src = await asData(file);
    await image.decode();
    // What cannot be read is sent as nothing, and the page says so beside the field.
    found(read(image, image.naturalWidth, image.naturalHeight, picture) ?? "?");
  } catch {
    found("?");
  }
});
// Back from the counter, out of the browser's memory: the camera is off, and can be opened again.
window.addEventListener("pagehide", close);
finder.hidden = false;
