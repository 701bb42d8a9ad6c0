// A borrower's whole life by clicking, told once: in whatever language and browser, with script or without.
import { expect } from "@playwright/test";
import { look, picture, poster } from "./look.mjs";
import { choose, daysBefore, fillIn, moveTo, newcomer, script, setPin, shop, signIn } from "./people.mjs";
import { speaker } from "./words.mjs";

const bought = "1280";

/** Signs in if the page asks for it: sessions end while months pass. */
async function comeTo(life, path) {
  const { page, say, person } = life;
  await page.goto(path);
  if (new URL(page.url()).pathname === "/sign-in") await signIn(page, person.mobile, say);
  await expect(page).toHaveURL((url) => url.pathname === path);
}

/** From nothing to a line and a PIN. */
async function join(life) {
  const { page, say, person, name } = life;
  await page.goto(`/home?lang=${life.language}`);
  await signIn(page, person.mobile, say);
  await fillIn(page, person, undefined, say);
  await page.getByRole("button", { name: say("submit-do") }).click();
  await expect(page.getByRole("heading", { name: say("state-approved") })).toBeVisible();
  await life.see(page, `${name}-approved`);
  await page.getByRole("link", { name: say("state-set-pin") }).click();
  await setPin(page, person, say);
  await comeTo(life, "/home");
  await expect(page.getByText("¥8,000.00").first()).toBeVisible();
}

/** Scans the shop's code and pays; returns the day on which the first payment is due. */
async function buy(life) {
  const { page, say, person, name } = life;
  await page.getByRole("main").getByRole("link", { name: say("scan-title") }).click();
  await life.scan(await shop(page));
  await page.getByLabel(say("pay-amount")).fill(bought);
  await page.getByRole("button", { name: say("pay-see-plans") }).click();
  await life.see(page, `${name}-plans`);
  if (life.isPoster) await poster(page, "plans");
  await choose(page, /× 6/, say);
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  if (life.isPoster) await poster(page, "confirm");
  await page.getByRole("button", { name: say("confirm-pay") }).click();
  await expect(page.getByRole("heading", { name: say("result-paid"), exact: true })).toBeVisible();
  await life.see(page, `${name}-result`);
  await page.getByRole("link", { name: say("result-see-loan") }).click();
  life.loan = new URL(page.url()).pathname;
  if (life.isPoster) await showWhy(life);
  return page.locator("#schedule ~ .weui-cells time").first().getAttribute("datetime");
}

/** How the numbers of the first payment came about, for the documents; and the home page by night. */
async function showWhy({ page, loan }) {
  await page.goto(`${loan}/periods/1`);
  await poster(page, "why");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto("/home");
  await poster(page, "night");
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto(loan);
}

/** The bill comes with its message; a part is paid while the bank keeps silent, and the rest is owed. */
async function payPart(life, dueOn) {
  const { page, say, person, name } = life;
  await moveTo(page, daysBefore(dueOn, 2));
  await comeTo(life, "/me/messages");
  const message = page.getByRole("listitem").filter({ hasText: say("notice-bill_issued") });
  await expect(message).toHaveCount(1);
  if (life.isPoster) await poster(page, "messages");
  await life.see(page, `${name}-messages`);
  await message.getByRole("link").click();
  await expect(page).toHaveURL((url) => url.pathname === `/bills/${dueOn}`);
  await life.see(page, `${name}-bill`);
  if (life.isPoster) await poster(page, "bill");
  await comeTo(life, "/bills/pay");
  await script(page, "withholding_a", ["processing"]);
  await page.getByLabel(say("repay-part")).check();
  await page.getByLabel(say("repay-amount")).fill("100");
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  await page.getByRole("button", { name: say("bills-pay") }).click();
  await expect(page).toHaveURL(/\/repayments\//);
  await settled(life);
  await life.see(page, `${name}-repaid`);
  await comeTo(life, `/bills/${dueOn}`);
  await expect(page.getByText("¥100.00").first()).toBeVisible();
}

/** Waits on the page of a payment until the bank has spoken: it updates itself, without script by reloading. */
async function settled(life) {
  const { page, say } = life;
  const heading = page.getByRole("heading", { name: say("order-is-succeeded") });
  await expect(heading).toBeVisible({ timeout: 60_000 });
}

/** Everything is paid off; the line is whole again, and the account may go. */
async function payOff(life) {
  const { page, say, person, name } = life;
  await comeTo(life, "/me/close");
  await expect(page.getByText(say("close-owing"))).toBeVisible();
  await comeTo(life, life.loan);
  await page.getByRole("link", { name: say("payoff-title") }).click();
  await life.see(page, `${name}-payoff`);
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  await page.getByRole("button", { name: say("payoff-go") }).click();
  await settled(life);
  await comeTo(life, life.loan);
  await expect(page.getByText(say("loan-state-paid"), { exact: true })).toBeVisible();
  await life.see(page, `${name}-loan-paid`);
  await comeTo(life, "/home");
  await expect(page.getByText("¥8,000.00").first()).toBeVisible();
  await comeTo(life, "/me/close");
  await expect(page.getByText(say("close-owing"))).toHaveCount(0);
}

/** Lives from the first sign-in to the last payment. `scan` brings the code that it is given to the counter. */
export async function live(page, { number, language, name, isPoster = false, hasScript = true, scan, between = async () => {}, billed = async () => {} }) {
  const say = speaker(language);
  // What looks at a page closely needs scripts in it.
  const life = { page, say, language, name, isPoster, see: hasScript ? look : picture, scan, person: newcomer(number) };
  const addresses = [];
  page.on("request", (request) => addresses.push(decodeURIComponent(request.url())));
  await join(life);
  if (isPoster) await poster(page, "home");
  const dueOn = await buy(life);
  await between(life);
  await payPart(life, dueOn);
  await billed(life);
  await payOff(life);
  const { person } = life;
  const telling = addresses.filter((address) => [person.name, person.id, person.mobile, person.card, person.pin].some((known) => address.includes(known)));
  expect(telling, "addresses hold personal data").toEqual([]);
}

/** Types the link that is printed under a code, where nothing scans. */
export function typing(page, say) {
  return async (code) => {
    await page.getByLabel(say("field-scanned")).fill(`https://pay.example.cn${code}`);
    await page.getByRole("button", { name: say("scan-go"), exact: true }).click();
  };
}
