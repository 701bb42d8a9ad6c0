// A merchant's first day by clicking: the application, the operator's word, who works there, an order, and the receipts as they come.
import { expect, test } from "@playwright/test";
import { execFileSync } from "node:child_process";
import { inBothLanguages, look, picture, poster } from "./look.mjs";
import { approved, choose, company, daysBefore, moveTo, pass, passcode, signIn, today } from "./people.mjs";
import { program, settings } from "./playwright.config.mjs";
import { chinese, speaker } from "./words.mjs";

/** What `fenqi merchant` answers an operator. */
function operator(...args) {
  const env = { ...process.env, ...settings };
  return JSON.parse(execFileSync(program, ["merchant", ...args, "--json"], { env, encoding: "utf8" }));
}

function decide(what, merchant, reason) {
  return operator(what, merchant.merchant_id, "--by", "李娜", "--reason", reason);
}

/** The application of a company, as operators find it. */
function application(shop) {
  const waiting = operator("list", "--status", "submitted");
  return operator("show", waiting.find(({ credit_code }) => credit_code === shop.code).merchant_id);
}

/** Another person's browser. */
async function another(browser, page, locale, javaScriptEnabled = true) {
  const context = await browser.newContext({ baseURL: new URL(page.url()).origin, viewport: page.viewportSize(), locale, javaScriptEnabled });
  return context.newPage();
}

async function fillCompany(page, shop, say) {
  await page.getByLabel(say("field-legal_name")).fill(shop.name);
  await page.getByLabel(say("field-credit_code")).fill(shop.code);
  await page.getByLabel(say("field-category")).selectOption("home");
}

const next = (page, say) => page.getByRole("button", { name: say("next-step"), exact: true }).click();
const heading = (page, name) => expect(page.getByRole("heading", { name })).toBeVisible();

/** From the sign-in page to the application that waits; `seen` is told of every step. */
async function apply(page, shop, say, seen) {
  await signIn(page, shop.mobile, say);
  await heading(page, say("join-company"));
  await seen("join-company");
  await fillCompany(page, { ...shop, code: `${shop.code.slice(0, -1)}${shop.code.endsWith("1") ? "2" : "1"}` }, say);
  await next(page, say);
  await expect(page.locator("#credit_code-error")).toBeVisible();
  await expect(page.getByLabel(say("field-legal_name"))).toHaveValue(shop.name);
  await seen("join-company-refused");
  await fillCompany(page, shop, say);
  await next(page, say);
  await heading(page, say("join-account"));
  await expect(page.getByLabel(say("field-account_name"))).toHaveValue(shop.name);
  await seen("join-account");
  await page.getByLabel(say("field-account_number")).fill(shop.account);
  await page.getByLabel(say("field-contact_name")).fill(shop.contact);
  await next(page, say);
  await send(page, say, seen);
}

async function send(page, say, seen) {
  await heading(page, say("join-submit"));
  await seen("join-submit");
  await page.getByLabel(say("field-confirm_join")).check();
  await page.getByRole("button", { name: say("join-do") }).click();
  await heading(page, say("join-waiting"));
}

/** Confirms a form by the code that goes to the owner's own mobile. */
async function byCode(page, owner, button, say) {
  await page.getByRole("button", { name: say("passcode-send") }).click();
  await expect(page.getByText(say("passcode-sent-to"))).toBeVisible();
  await page.getByLabel(say("field-passcode")).fill(await passcode(page, owner.mobile));
  await page.getByRole("button", { name: button, exact: true }).click();
}

/** Opens an order and returns its link. */
async function openOrder(page, amount, what, say) {
  await page.goto("/m/orders/new");
  await page.getByLabel(say("sell-amount")).fill(amount);
  await page.getByLabel(say("field-description")).fill(what);
  await page.getByRole("button", { name: say("sell-do") }).click();
  await heading(page, say("sell-show"));
  return page.locator("a.code").getAttribute("href");
}

/** A customer pays what the code asks for. */
async function pay(page, person, link, say) {
  await page.goto(new URL(link).pathname);
  await choose(page, /× 3/, say);
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  await page.getByRole("button", { name: say("confirm-pay") }).click();
  await heading(page, say("result-paid"));
}

test("a merchant applies, is accepted, and sees at the counter what comes in", async ({ page, browser }) => {
  test.setTimeout(600_000);
  const say = chinese;
  // A page that answers a post is not asked for again.
  const seen = (name) => (name.startsWith("join") && !name.endsWith("company-refused") ? inBothLanguages(page, name) : look(page, `${name}-zh`));
  const shop = company(1);
  await page.goto("/m");
  await apply(page, shop, say, seen);
  await seen("join-waiting");
  // The operator looks, refuses once, and is asked again; the page shows either by itself.
  const merchant = application(shop);
  expect(merchant).toMatchObject({ name: shop.name, status: "submitted", category: "home", account_tail: shop.account.slice(-4) });
  expect(decide("refuse", merchant, "营业执照照面信息与登记不符").status).toBe("refused");
  await expect(page.getByRole("heading", { name: say("join-refused") })).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText("营业执照照面信息与登记不符")).toBeVisible();
  await seen("join-refused");
  await page.getByRole("button", { name: say("join-again") }).click();
  await page.getByLabel(say("field-account_number")).fill(shop.account);
  await next(page, say);
  await send(page, say, async () => {});
  expect(decide("approve", merchant, "资料已核对")).toMatchObject({ status: "active", changed: true });
  expect(decide("approve", merchant, "资料已核对")).toMatchObject({ status: "active", changed: false });
  await expect(page.getByRole("heading", { name: say("join-accepted") })).toBeVisible({ timeout: 60_000 });
  await seen("join-accepted");
  await page.getByRole("link", { name: say("join-enter") }).click();
  await expect(page).toHaveURL((url) => url.pathname === "/m");
  await seen("shop-home-new");

  // Somebody for the counter, who may do less.
  const clerk = { name: "小陈", mobile: "13812340091" };
  await page.goto("/m/staff/new");
  await page.getByLabel(say("field-staff_name")).fill(clerk.name);
  await page.getByLabel(say("field-mobile")).fill(clerk.mobile);
  await byCode(page, shop, say("team-hire-do"), say);
  await expect(page.getByRole("status")).toHaveText(say("flash-staff-hired"));
  const counter = await another(browser, page, "zh-CN");
  await counter.goto("/m/receipts");
  await signIn(counter, clerk.mobile, say);
  await expect(counter).toHaveURL(/\/m\/receipts$/);
  await expect(counter.locator("#live")).toHaveText(say("receipts-live"));
  await look(counter, "receipts-none-zh");
  await expect(counter.getByRole("link", { name: say("settle-title") })).toHaveCount(0);
  await counter.goto("/m/more");
  await expect(counter.getByRole("link", { name: say("team-title") })).toHaveCount(0);
  await look(counter, "more-cashier-zh");
  expect((await counter.goto("/m/staff")).status()).toBe(403);
  await counter.goto("/m/receipts");
  const sound = counter.locator("#sound");
  await expect(sound).toHaveAttribute("aria-pressed", "false");
  await sound.click();
  await expect(sound).toHaveAttribute("aria-pressed", "true");

  // An order by hand: the amount is wrong at first, then a customer pays it.
  await page.goto("/m/orders/new");
  await page.getByLabel(say("sell-amount")).fill("0.001");
  await page.getByRole("button", { name: say("sell-do") }).click();
  await expect(page.locator("#amount-error")).toBeVisible();
  await seen("order-refused");
  const link = await openOrder(page, "1,299.50", "三人沙发", say);
  await seen("order-open");
  const customer = await another(browser, page, "zh-CN");
  const person = await approved(customer, 811);
  await pay(customer, person, link, say);
  await heading(page, say("sell-state-paid"));
  await seen("order-paid");
  const line = counter.locator("#lines li").filter({ hasText: "¥1,299.50" });
  await expect(line).toHaveCount(1);
  await expect(line).toContainText("三人沙发");
  await expect(counter.locator("#takings")).toHaveText("¥1,299.50");
  await poster(counter, "receipts");
  await look(counter, "receipts-zh");

  // The line is cut while somebody pays: nothing is lost, and nothing shown twice.
  await counter.context().setOffline(true);
  await pay(customer, person, await openOrder(page, "88", "抱枕", say), say);
  await counter.context().setOffline(false);
  await expect(counter.locator("#takings")).toHaveText("¥1,387.50", { timeout: 60_000 });
  await expect(counter.locator("#lines li")).toHaveCount(2);
  await expect(counter.locator("#live")).toHaveText(say("receipts-live"));

  // An order that nobody pays is closed.
  await openOrder(page, "20", "", say);
  await page.getByRole("button", { name: say("sell-close") }).click();
  await heading(page, say("sell-state-closed"));
  await seen("order-closed");

  // A new day starts empty on the page that stayed open, which is not loaded anew: its sound stays on.
  await counter.evaluate(() => (window.stayed = true));
  await moveTo(page, daysBefore(await today(page), -1));
  await expect(counter.locator("#takings")).toHaveText("¥0.00", { timeout: 60_000 });
  await expect(counter.locator("#lines li")).toHaveCount(0);
  await expect(counter.locator("#none")).toBeVisible();
  await expect(counter.locator("#live")).toHaveText(say("receipts-live"));
  await expect(sound).toHaveAttribute("aria-pressed", "true");
  expect(await counter.evaluate(() => window.stayed)).toBe(true);

  // Whoever is removed has nothing more to see, whatever is open.
  await pass(page, 61);
  await page.goto("/m/staff");
  await page.getByRole("link", { name: clerk.name }).click();
  await page.getByRole("link", { name: say("team-remove") }).click();
  await byCode(page, shop, say("team-remove-do"), say);
  await expect(page.getByRole("status")).toHaveText(say("flash-staff-removed"));
  await expect(counter).toHaveURL(/\/m\/sign-in/, { timeout: 60_000 });
  for (const other of [counter, customer]) await other.context().close();
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false, locale: "en-GB" });

  test("the same day goes by in English, with pages that are loaded anew", async ({ page, browser }) => {
    test.setTimeout(300_000);
    const say = speaker("en");
    const seen = (name) => picture(page, `${name}-en`);
    const shop = company(2);
    await page.goto("/m?lang=en");
    await apply(page, shop, say, seen);
    await seen("join-waiting");
    decide("approve", application(shop), "papers checked");
    await page.reload();
    await heading(page, say("join-accepted"));
    await page.getByRole("link", { name: say("join-enter") }).click();
    await seen("shop-home-new");
    await page.goto("/m/staff/new");
    await page.getByLabel(say("field-staff_name")).fill("Chen");
    await page.getByLabel(say("field-mobile")).fill("13812340092");
    await byCode(page, shop, say("team-hire-do"), say);
    await expect(page.getByText("138****0092")).toBeVisible();
    await seen("team");
    const link = await openOrder(page, "640", "Lamp", say);
    await seen("order-open");
    const customer = await another(browser, page, "en-GB", false);
    const person = await approved(customer, 812, say);
    await pay(customer, person, link, say);
    await page.reload();
    await heading(page, say("sell-state-paid"));
    await seen("order-paid");
    await page.goto("/m/receipts");
    await expect(page.locator("#lines li")).toHaveCount(1);
    await expect(page.locator("#lines li")).toContainText("Lamp");
    await picture(page, "receipts-plain-en");
    await customer.context().close();
  });
});
