// Reads a merchant's code with the camera, or from a picture, and sends what it says to the page's own form.
import jsQR from "jsqr";

const finder = document.querySelector("[data-finder]");
const video = finder.querySelector("video");
const status = finder.querySelector("[role=status]");
const form = document.querySelector("form[action='/scan']");
const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });
// Enough for a code that fills a third of the picture, and quick on old phones.
const longest = 800;

function read(source, width, height) {
  const scale = Math.min(1, longest / Math.max(width, height));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return jsQR(pixels, canvas.width, canvas.height)?.data;
}

function found(text) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  form.elements.scanned.value = text;
  form.querySelector("button[type=submit]").click();
}

function look() {
  if (video.readyState === video.HAVE_ENOUGH_DATA) {
    const text = read(video, video.videoWidth, video.videoHeight);
    if (text) return found(text);
  }
  requestAnimationFrame(look);
}

async function open() {
  if (!navigator.mediaDevices?.getUserMedia) {
    status.textContent = finder.dataset.none;
    return;
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    status.textContent = error.name === "NotFoundError" ? finder.dataset.none : finder.dataset.denied;
    return;
  }
  video.hidden = false;
  finder.querySelector("[data-start]").hidden = true;
  status.textContent = finder.dataset.looking;
  await video.play();
  requestAnimationFrame(look);
}

// As data, which our content policy lets pictures be made of.
const asData = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

finder.querySelector("[data-start]").addEventListener("click", open);
finder.querySelector("input[type=file]").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (!file) return;
  const picture = new Image();
  try {
    picture.src = await asData(file);
    await picture.decode();
    // What cannot be read is sent as nothing, and the page says so beside the field.
    found(read(picture, picture.naturalWidth, picture.naturalHeight) ?? "?");
  } catch {
    found("?");
  }
});
finder.hidden = false;
