// What every page is held to: no serious finding of axe, nothing wider than the screen, and a picture to look at.
import { expect } from "@playwright/test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isUnwatched } from "./playwright.config.mjs";

const pictures = fileURLToPath(new URL("../../var/test/pages", import.meta.url));

/** Takes a picture of the page as it is now, under var/test/pages, unless nobody is going to look at it. */
export async function picture(page, name) {
  if (isUnwatched) return;
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true, scale: "css" });
}

/** The most that a picture in the documents weighs. */
const posterBytes = 60 * 1024;

/** Takes a small picture for the documents, under var/test/pages/documents. */
export async function poster(page, name) {
  const taken = await page.screenshot({ path: `${pictures}/documents/${name}.jpg`, scale: "css", type: "jpeg", quality: 80 });
  expect(taken.length, `${name} is too heavy for the documents`).toBeLessThan(posterBytes);
}

/** Leaves `axe` in a page. The program is large, so that it is read once here, and put once into each page. */
const axe = `${readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8")}\n;undefined`;

/** Looks for what a person who needs a screen reader, a keyboard or contrast would stumble over; of all that, night changes colours alone. */
async function audit(page, name, colorScheme) {
  await page.emulateMedia({ colorScheme });
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const only = colorScheme === "dark" ? { runOnly: { type: "rule", values: ["color-contrast"] } } : {};
  const found = await page.evaluate(async (options) => {
    const { violations } = await window.axe.run(document, options);
    return violations.map(({ id, impact, nodes }) => ({ id, impact, html: nodes.map((node) => node.html) }));
  }, { resultTypes: ["violations"], ...only });
  const serious = found.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = serious.map(({ id, html }) => `${id}: ${html.join(" | ")}`);
  expect(told, `${name} in ${colorScheme}`).toEqual([]);
}

/** Nothing is wider than a screen of that width. */
async function fits(page, name, width) {
  await page.setViewportSize({ width, height: 640 });
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wider, `${name} is wider than ${width} px`).toBeLessThanOrEqual(0);
}

/** Holds the page to what every page is held to, in light and dark, and takes both pictures. */
export async function look(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await audit(page, name, colorScheme);
    await picture(page, `${name}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  const size = page.viewportSize();
  for (const width of [320, 820]) {
    await fits(page, name, width);
    await picture(page, `${name}-${width}`);
  }
  await page.setViewportSize(size);
}

/** The same of a page that can be asked for again, in Chinese and in English. */
export async function inBothLanguages(page, name) {
  const here = new URL(page.url());
  const into = async (language) => {
    here.searchParams.set("lang", language);
    await page.goto(here.href);
    await expect(page.locator("html")).toHaveAttribute("lang", language);
  };
  const size = page.viewportSize();
  await into("en");
  await audit(page, `${name} in English`, "dark");
  await audit(page, `${name} in English`, "light");
  await picture(page, `${name}-en`);
  // English words are longer.
  await fits(page, `${name} in English`, 320);
  await page.setViewportSize(size);
  await into("zh-CN");
  await look(page, `${name}-zh`);
}
