// The network goes while somebody pays, fingers tap twice, and pages are loaded again: one purchase, whatever happens.
import { expect, test } from "@playwright/test";
import { picture } from "./look.mjs";
import { approved, choose, loseAnswer, newcomer, pass, script, shop } from "./people.mjs";
import { chinese as say } from "./words.mjs";

const pay = (page) => page.getByRole("button", { name: say("confirm-pay") });
const paid = (page) => expect(page.getByRole("heading", { name: say("result-paid"), exact: true })).toBeVisible();

/** Comes to the page that asks for the PIN, and types it. */
async function comeToConfirm(page, person, yuan) {
  await page.goto(`${await shop(page)}?amount=${yuan}`);
  await choose(page, /× 3/);
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
}

/** What the borrower has bought. */
async function loans(page) {
  await page.goto("/loans");
  return page.getByRole("main").getByRole("link").count();
}

test("a confirmation that meets no network asks again by itself, with the same key", async ({ page, context }) => {
  test.setTimeout(120_000);
  const person = await approved(page, 921);
  await comeToConfirm(page, person, 300);
  const keys = [];
  page.on("request", (request) => {
    if (request.method() === "POST") keys.push(new URLSearchParams(request.postData()).get("key"));
  });
  await context.setOffline(true);
  await pay(page).click();
  const status = page.getByRole("status");
  await expect(status).toHaveText(say("confirm-lost"));
  await picture(page, "confirm-lost-zh");
  await context.setOffline(false);
  await paid(page);
  expect(keys.length).toBeGreaterThan(1);
  expect(new Set(keys).size).toBe(1);
  expect(await loans(page)).toBe(1);
});

test("a page that waits for the bank goes on asking after one question was lost", async ({ page, context }) => {
  test.setTimeout(180_000);
  const person = await approved(page, 925);
  await comeToConfirm(page, person, 305);
  await pay(page).click();
  await paid(page);
  await page.goto("/loans");
  await page.getByRole("main").getByRole("link").first().click();
  await page.getByRole("link", { name: say("payoff-title") }).click();
  await script(page, "withholding_a", ["processing"]);
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  await page.getByRole("button", { name: say("payoff-go") }).click();
  await expect(page).toHaveURL(/\/repayments\//);
  const lost = page.waitForEvent("requestfailed", (request) => request.url().includes("/repayments/"));
  await context.setOffline(true);
  await lost;
  await context.setOffline(false);
  await pass(page, 150);
  // Neither loaded anew nor clicked.
  await expect(page.getByRole("heading", { name: say("order-is-succeeded") })).toBeVisible({ timeout: 90_000 });
});

test("who gives up is told that nothing is known, and pays once by trying again", async ({ page }) => {
  test.setTimeout(120_000);
  const person = await approved(page, 922);
  await comeToConfirm(page, person, 310);
  // The first question arrives, and no answer ever comes back; hours pass on this page's own clock.
  let asked = 0;
  await page.route("**/confirm", async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    asked += 1;
    if (asked === 1) await route.fetch({ maxRedirects: 0 });
    return route.abort("connectionreset");
  });
  await page.clock.install();
  await pay(page).click();
  const status = page.getByRole("status");
  await expect(async () => {
    await page.clock.fastForward(60_000);
    await expect(status).toHaveText(say("confirm-give-up"), { timeout: 200 });
  }).toPass();
  await picture(page, "confirm-given-up-zh");
  await page.unroute("**/confirm");
  await pay(page).click();
  await paid(page);
  expect(await loans(page)).toBe(1);
});

test("two taps and a page loaded again buy once", async ({ page }) => {
  test.setTimeout(120_000);
  const person = await approved(page, 923);
  await comeToConfirm(page, person, 320);
  await pay(page).dblclick();
  await paid(page);
  const bought = page.url();
  for (let times = 0; times < 2; times += 1) {
    await page.reload();
    await paid(page);
  }
  // Both taps in one go lead to one place.
  await page.getByRole("link", { name: say("result-see-loan") }).dblclick();
  await expect(page).toHaveURL(/\/loans\//);
  await page.goto(bought);
  await paid(page);
  expect(await loans(page)).toBe(1);
});

test("an answer from something on the way says nothing, and the payment is asked for again", async ({ page }) => {
  test.setTimeout(120_000);
  const person = await approved(page, 926);
  await comeToConfirm(page, person, 325);
  let isCaptive = true;
  await page.route("**/confirm", (route) => {
    if (route.request().method() !== "POST" || !isCaptive) return route.continue();
    isCaptive = false;
    return route.fulfill({ contentType: "text/html", body: "<p>Welcome to our guests' network</p>" });
  });
  await pay(page).click();
  await paid(page);
  expect(await loans(page)).toBe(1);
});

test("a form that was lost can be sent again where the browser has kept its page", async ({ page }) => {
  await page.goto("/sign-in?by=mobile");
  await page.getByLabel(say("field-mobile")).fill(newcomer(927).mobile);
  await page.route("**/sign-in", (route) => (route.request().method() === "POST" ? route.abort("aborted") : route.continue()));
  await page.clock.install();
  const button = page.getByRole("button", { name: say("passcode-send") });
  await button.click();
  await expect(button).toHaveAttribute("aria-busy", "true");
  await page.clock.fastForward(30_000);
  await expect(button).not.toHaveAttribute("aria-busy", "true");
  await page.unroute("**/sign-in");
  await button.click();
  await expect(page.getByText(say("sign-in-sent"))).toBeVisible();
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false });

  test("a confirmation whose answer got lost is sent again by hand, and buys once", async ({ page }) => {
    test.setTimeout(120_000);
    const person = await approved(page, 934);
    await comeToConfirm(page, person, 330);
    await loseAnswer(page, "**/confirm");
    const asking = page.url();
    await pay(page).click();
    // The browser shows its own page of errors; the one that asked leads to what it bought.
    await expect(page).toHaveURL(/^chrome-error:/);
    await page.goto(asking);
    await paid(page);
    expect(await loans(page)).toBe(1);
  });
});
