// A merchant looks at what was sold, takes it back, follows its money and prints its code: by clicking, and without script.
import { expect, test } from "@playwright/test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { look, picture, poster } from "./look.mjs";
import { approved, choose, employee, loseAnswer, shop, signIn } from "./people.mjs";
import { chinese as say } from "./words.mjs";

const pictures = fileURLToPath(new URL("../../var/test/pages", import.meta.url));
/** A5 in the points of a PDF. */
const a5 = { width: 419.53, height: 595.28 };

/** Signs in for the shop; a mobile gets one code a minute, so that one session serves the tests of a file. */
let session;
async function signInAs(page, role) {
  if (role === "owner" && session) await page.context().addCookies(session);
  await page.goto("/m/purchases");
  if (new URL(page.url()).pathname !== "/m/sign-in") return;
  await signIn(page, await employee(page, role));
  await expect(page).toHaveURL(/\/m\/purchases$/);
  if (role === "owner") session = await page.context().cookies();
}

/** The same page in the other language. */
async function inEnglish(page, name) {
  const here = page.url();
  await page.goto(`${here}${here.includes("?") ? "&" : "?"}lang=en`);
  await look(page, `${name}-en`);
  await page.goto(`${here}${here.includes("?") ? "&" : "?"}lang=zh-CN`);
}

/** The file that a link leads to. */
async function download(page, name) {
  const started = page.waitForEvent("download");
  await page.getByRole("link", { name }).click();
  const file = await started;
  return { name: file.suggestedFilename(), text: readFileSync(await file.path(), "utf8") };
}

test("purchases are searched, opened and downloaded", async ({ page }) => {
  test.setTimeout(120_000);
  await signInAs(page, "owner");
  await expect(page.locator("a.weui-cell").first()).toBeVisible();
  await poster(page, "sales");
  await look(page, "sales-zh");
  await inEnglish(page, "sales");
  const table = await download(page, say("sale-table"));
  expect(table.name).toMatch(/^purchases-.*\.csv$/);
  expect(table.text.startsWith("\ufeff交易号,订单号,")).toBe(true);
  await page.getByText(say("sale-narrow")).click();
  await page.getByLabel(say("sale-amount-is")).fill("一百");
  await page.getByRole("button", { name: say("sale-search"), exact: true }).click();
  await expect(page.locator("#amount-error")).toBeVisible();
  await look(page, "sales-refused-zh");
  await page.getByLabel(say("sale-amount-is")).fill("0.07");
  await page.getByRole("button", { name: say("sale-search"), exact: true }).click();
  await expect(page.getByText(say("sale-none"))).toBeVisible();
  await look(page, "sales-none-zh");
});

test("a refund is seen before it is made, also where the network is cut", async ({ page }) => {
  test.setTimeout(120_000);
  await signInAs(page, "owner");
  await page.goto("/m/purchases?state=sold");
  await page.locator("a.weui-cell").last().click();
  await look(page, "sale-zh");
  await page.getByRole("link", { name: say("sale-refund-go"), exact: true }).click();
  await look(page, "refund-amount-zh");
  await page.getByLabel(say("back-amount")).fill("0.001");
  await page.getByRole("button", { name: say("back-see") }).click();
  await expect(page.locator("#amount-error")).toBeVisible();
  await page.getByLabel(say("back-amount")).fill("12.34");
  await page.getByRole("button", { name: say("back-see") }).click();
  await expect(page.getByRole("heading", { name: say("back-what", { amount: "¥12.34" }) })).toBeVisible();
  await poster(page, "refund");
  await look(page, "refund-preview-zh");
  await inEnglish(page, "refund-preview");
  // A second tab looks at the same purchase meanwhile.
  const other = await page.context().newPage();
  await other.goto(page.url().replace("12.34", "5"));
  // The answer to the first try never comes; the page asks again with the same key.
  await loseAnswer(page, "**/refund");
  await page.getByRole("button", { name: say("back-confirm", { amount: "¥12.34" }) }).click();
  await expect(page.getByRole("heading", { name: say("back-done") })).toBeVisible();
  await look(page, "refund-done-zh");
  await other.getByRole("button", { name: say("back-confirm", { amount: "¥5.00" }) }).click();
  await expect(other.getByRole("alert").filter({ hasText: say("refusal-effect_changed") })).toBeVisible();
  await look(other, "refund-stale-zh");
  await other.close();
  await page.getByRole("link", { name: say("back-to-sale") }).click();
  await expect(page.getByText(say("sale-state-part_refunded"))).toBeVisible();
  await expect(page.locator(".sums a")).toHaveCount(1);
  await look(page, "sale-refunded-zh");
});

test("money is followed from gross to paid, and every figure opens", async ({ page }) => {
  test.setTimeout(120_000);
  await signInAs(page, "owner");
  await page.goto("/m/settlements");
  await look(page, "settlements-zh");
  await inEnglish(page, "settlements");
  await page.locator("a.weui-cell").first().click();
  await expect(page.getByText(say("settle-open"))).toBeVisible();
  await look(page, "settlement-open-zh");
  await page.getByRole("link", { name: say("settle-title") }).first().click();
  await page.locator("nav.turn a[rel=prev]").click();
  const month = await download(page, say("settle-month-statement"));
  expect(month.text.startsWith("\ufeff营业日,类型,")).toBe(true);
  await page.locator("a.weui-cell", { hasText: say("settle-state-paid") }).first().click();
  await expect(page.getByText(say("settle-reference"))).toBeVisible();
  await poster(page, "settlement");
  await look(page, "settlement-zh");
  await inEnglish(page, "settlement");
  // What a large shop is paid on a day is no wider than the smallest screen.
  await page.locator(".row-sum .amount").first().evaluate((amount) => (amount.textContent = "¥123,456,789.00"));
  await look(page, "settlement-large-zh");
  const day = await download(page, say("settle-day-statement"));
  expect(day.text.trimEnd().split("\r\n").at(-1)).toContain(say("settle-line-settled"));
  await page.getByRole("link", { name: say("settle-gross"), exact: true }).click();
  await look(page, "settlement-gross-zh");
  await page.locator("a.weui-cell").first().click();
  await expect(page.getByRole("heading", { name: say("sale-title") })).toBeVisible();
});

test("the code is printed on one A5 sheet, and read from a picture of it", async ({ page, browser }) => {
  await signInAs(page, "owner");
  await page.goto("/m/more");
  await page.getByRole("link", { name: say("poster-title") }).click();
  await expect(page.getByRole("button", { name: say("poster-print") })).toBeVisible();
  await poster(page, "code");
  await look(page, "poster-zh");
  const taken = { name: "code.png", mimeType: "image/png", buffer: await page.screenshot() };
  const start = await (await page.request.get("/?lang=zh-CN")).text();
  const borrower = [...start.matchAll(/<dd[^>]*><b>(1\d{10})<\/b>/g)][2][1];
  const baseURL = new URL(page.url()).origin;
  const reader = await (await browser.newContext({ baseURL, viewport: page.viewportSize(), locale: "zh-CN" })).newPage();
  await reader.goto("/scan");
  await signIn(reader, borrower);
  await reader.locator("[data-finder] input[type=file]").setInputFiles(taken);
  await expect(reader).toHaveURL(/\/q\//);
  await reader.context().close();
  const file = await download(page, say("poster-svg"));
  expect(file.name).toBe("fenqi-code-a5.svg");
  const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true });
  mkdirSync(pictures, { recursive: true });
  writeFileSync(`${pictures}/poster.pdf`, pdf);
  const text = pdf.toString("latin1");
  expect(text.match(/\/Type\s*\/Page\b/g)).toHaveLength(1);
  const [, width, height] = text.match(/\/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)/);
  expect(Math.abs(width - a5.width)).toBeLessThan(1.5);
  expect(Math.abs(height - a5.height)).toBeLessThan(1.5);
});

test("the shop's messages are worded", async ({ page }) => {
  await signInAs(page, "owner");
  await page.goto("/m/messages");
  await expect(page.getByRole("listitem").first()).toBeVisible();
  await look(page, "shop-messages-zh");
  await inEnglish(page, "shop-messages");
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false });

  test("a sale of today is undone, and a cashier is told whom to ask", async ({ page, browser }) => {
    test.setTimeout(180_000);
    const customer = await browser.newContext({ javaScriptEnabled: false, locale: "zh-CN", baseURL: new URL((await page.request.get("/")).url()).origin });
    const counter = await customer.newPage();
    const person = await approved(counter, 601);
    await counter.goto(`${await shop(counter)}?amount=345.67`);
    await choose(counter, /× 3 期/);
    await counter.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
    await counter.getByRole("button", { name: say("confirm-pay") }).click();
    await expect(counter.getByRole("heading", { name: say("result-paid"), exact: true })).toBeVisible();
    await customer.close();
    await signInAs(page, "cashier");
    await page.locator("a.weui-cell", { hasText: "¥345.67" }).click();
    await expect(page.getByText(say("sale-ask-refund"))).toBeVisible();
    const address = page.url();
    await page.goto(`${address}/void`);
    await picture(page, "right-missing-zh");
    await page.context().clearCookies();
    await signInAs(page, "owner");
    await page.goto(`${address}/refund`);
    await expect(page).toHaveURL(/\/void$/);
    await picture(page, "void-zh");
    await page.getByRole("button", { name: say("void-confirm", { amount: "¥345.67" }) }).click();
    await expect(page.getByRole("status")).toHaveText(say("flash-sale-voided"));
    await picture(page, "sale-voided-zh");
  });

  test("a search and a whole refund need no script", async ({ page }) => {
    await signInAs(page, "owner");
    await page.getByText(say("sale-narrow")).click();
    await page.getByLabel(say("sale-state"), { exact: true }).selectOption("sold");
    await page.getByRole("button", { name: say("sale-search"), exact: true }).click();
    await page.locator("a.weui-cell").last().click();
    await page.getByRole("link", { name: say("sale-refund-go"), exact: true }).click();
    await page.getByRole("button", { name: say("back-see") }).click();
    await picture(page, "refund-preview-carried-zh");
    await page.getByRole("button", { name: say("back-confirm") }).click();
    await expect(page.getByRole("heading", { name: say("back-done") })).toBeVisible();
    await page.getByRole("link", { name: say("back-to-settlement") }).click();
    await picture(page, "settlement-carried-zh");
  });
});
