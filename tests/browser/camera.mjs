// A phone whose camera looks at a picture that the test gives it: Chromium plays a film in a camera's place.
import { chromium } from "@playwright/test";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const films = fileURLToPath(new URL("../../var/test/films", import.meta.url));
const width = 640;
const height = 480;

/** How bright each point of a square drawing is, where it lies on a grey counter as a person holds a phone over it. */
async function brightness(page, svg) {
  return page.evaluate(
    async ([svg, width, height]) => {
      const image = new Image();
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      const context = canvas.getContext("2d");
      context.fillStyle = "#8a8a8a";
      context.fillRect(0, 0, width, height);
      const side = height * 0.85;
      context.translate(width / 2, height / 2);
      context.rotate(0.1);
      context.fillStyle = "#fff";
      context.fillRect(-side / 2, -side / 2, side, side);
      context.drawImage(image, -side / 2, -side / 2, side, side);
      const { data } = context.getImageData(0, 0, width, height);
      return Array.from({ length: width * height }, (_, at) => Math.round(0.299 * data[4 * at] + 0.587 * data[4 * at + 1] + 0.114 * data[4 * at + 2]));
    },
    [svg, width, height],
  );
}

/** A film of a few frames that show a square drawing; returns where it lies. */
async function film(page, name, svg) {
  const frame = Buffer.concat([Buffer.from("FRAME\n"), Buffer.from(await brightness(page, svg)), Buffer.alloc((width * height) / 2, 128)]);
  mkdirSync(films, { recursive: true });
  const path = `${films}/${name}.y4m`;
  writeFileSync(path, Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`), frame, frame, frame, frame]));
  return path;
}

/** Opens a page in a browser of its own, whose camera sees `svg`, or may not look; `use` is the settings of the test's own browser. */
export async function withCamera(page, use, name, { svg, mayLook }, act) {
  const file = await film(page, name, svg);
  const { executablePath, args } = use.launchOptions;
  const browser = await chromium.launch({
    executablePath,
    args: [
      ...args,
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-video-capture=${file}`,
      // Answers as a person does who taps "always" or "never".
      `--use-fake-ui-for-media-stream${mayLook ? "" : "=deny"}`,
    ],
  });
  try {
    const { baseURL, locale, timezoneId, viewport } = use;
    const context = await browser.newContext({ baseURL, locale, timezoneId, viewport, storageState: await page.context().storageState() });
    const phone = await context.newPage();
    phone.setDefaultTimeout(20_000);
    await act(phone);
  } finally {
    await browser.close();
  }
}
