// What every page is held to: no serious finding of axe, nothing wider than the screen, and a picture to look at.
import AxeBuilder from "@axe-core/playwright";
import { expect } from "@playwright/test";
import { fileURLToPath } from "node:url";

const pictures = fileURLToPath(new URL("../../var/test/pages", import.meta.url));

/** Takes a picture of the page as it is now, under var/test/pages. */
export async function picture(page, name) {
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}

/** The most that a picture in the documents weighs. */
const posterBytes = 60 * 1024;

/** Takes a small picture for the documents, under var/test/pages/documents. */
export async function poster(page, name) {
  const taken = await page.screenshot({ path: `${pictures}/documents/${name}.jpg`, scale: "css", type: "jpeg", quality: 80 });
  expect(taken.length, `${name} is too heavy for the documents`).toBeLessThan(posterBytes);
}

/** Holds the page to what every page is held to, in light and dark, and takes both pictures. */
export async function look(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await new AxeBuilder({ page }).analyze();
    const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
    expect(told, `${name} in ${colorScheme}`).toEqual([]);
    await picture(page, `${name}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  const size = page.viewportSize();
  for (const width of [320, 820]) {
    await page.setViewportSize({ width, height: 640 });
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wider, `${name} is wider than ${width} px`).toBeLessThanOrEqual(0);
    await picture(page, `${name}-${width}`);
  }
  await page.setViewportSize(size);
}
