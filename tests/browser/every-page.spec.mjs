// Every page that the program has is looked at, in both languages, by day and by night: found by following links, as people find them.
import { expect, test } from "@playwright/test";
import { inBothLanguages } from "./look.mjs";
import { approved, choose, customer, employee, newcomer, pass, shop, signIn } from "./people.mjs";
import { pages, patternOf } from "./routes.mjs";
import { chinese as say } from "./words.mjs";

/** Steps of applications, which only somebody who applies sees: the tests that apply look at them. */
const seenByApplicants = ["/apply", "/apply/state", "/m/join", "/m/join/state"];
const seen = new Set(seenByApplicants);

// What was seen is counted at the end: after a failure the rest would be counted without it.
test.describe.configure({ mode: "serial" });
// Sharp enough to look at, and a quarter of the work.
test.use({ deviceScaleFactor: 1 });

const name = (pattern) => pattern.slice(1).replaceAll("/", "-").replaceAll(/[{}]/g, "") || "start";

/** Where the links of a page lead. */
async function links(page) {
  const found = await page.locator("a[href]").evaluateAll((links) => links.filter((link) => !link.hasAttribute("hreflang")).map((link) => link.href));
  const here = new URL(page.url()).origin;
  return found.map((address) => new URL(address)).filter(({ origin }) => origin === here).map(({ pathname, search }) => pathname + search);
}

/** Looks at the addresses given, and at one page of each kind that their links lead to. */
async function walk(page, addresses) {
  const waiting = [...addresses];
  const given = new Set(addresses);
  while (waiting.length > 0) {
    const address = waiting.shift();
    const pattern = patternOf(address.split(/[?#]/)[0]);
    if (!pattern || (seen.has(pattern) && !given.has(address))) continue;
    given.delete(address);
    const answer = await page.goto(address);
    // A page of words is there for everything that is wrong too; only a code that nobody printed is meant to be.
    if (address !== "/q/nothing") expect(answer.status(), address).toBeLessThan(400);
    const shown = patternOf(new URL(page.url()).pathname);
    if (shown !== pattern && seen.has(shown)) continue;
    seen.add(shown);
    await inBothLanguages(page, `every-${name(shown)}`);
    waiting.push(...(await links(page)));
  }
}

/** Signs in on a page of its own time: a mobile gets one passcode a minute, and other tests sign in as the same people. */
async function enter(page, address, mobile) {
  await pass(page, 61);
  await page.goto(address);
  await signIn(page, mobile);
  await expect(page).toHaveURL((url) => url.pathname === address);
}

test("what anybody sees", async ({ page }) => {
  test.setTimeout(900_000);
  await walk(page, ["/", "/sign-in", "/m/sign-in", "/q/nothing"]);
});

test("what borrowers see", async ({ page }) => {
  test.setTimeout(900_000);
  const person = await approved(page, 911);
  const code = await shop(page);
  await walk(page, [`${code}?amount=600`]);
  await page.goto(`${code}?amount=600`);
  await choose(page, /× 3/);
  await inBothLanguages(page, "every-confirm");
  seen.add(patternOf(new URL(page.url()).pathname));
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  await page.getByRole("button", { name: say("confirm-pay") }).click();
  await expect(page.getByRole("heading", { name: say("result-paid"), exact: true })).toBeVisible();
  await walk(page, [new URL(page.url()).pathname, "/home", code, "/me/pin/forgotten"]);
  await page.goto("/loans");
  await page.getByRole("main").getByRole("link").first().click();
  await page.getByRole("link", { name: say("payoff-title") }).click();
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  await page.getByRole("button", { name: say("payoff-go") }).click();
  await expect(page).toHaveURL(/\/repayments\//);
  await walk(page, [new URL(page.url()).pathname]);
  await page.goto("/me/cards/new");
  await page.getByLabel(say("field-card_number")).fill(newcomer(912).card);
  await page.getByLabel(say("field-card_mobile")).fill(person.mobile);
  await page.getByLabel(say("field-agree_withholding")).check();
  await page.getByRole("button", { name: say("card-new-do") }).click();
  await expect(page.getByRole("heading", { name: say("card-code-heading") })).toBeVisible();
  await walk(page, ["/me/cards/code"]);
  await page.goto("/me/cards");
  // A card that is the default one already leads nowhere to be made so; its page is there all the same.
  const unbind = await page.getByRole("link", { name: say("card-unbind") }).first().getAttribute("href");
  await walk(page, [unbind.replace(/unbind$/, "default")]);
  await page.context().clearCookies({ name: "fenqi" });
  await enter(page, "/bills", await customer(page, 0));
  await walk(page, ["/bills", "/bills/pay"]);
  await page.context().clearCookies({ name: "fenqi" });
  await enter(page, "/home", await customer(page, 1));
  await walk(page, ["/home", "/bills", "/me/messages"]);
});

test("what merchants see", async ({ page }) => {
  test.setTimeout(900_000);
  await enter(page, "/m", await employee(page, "owner"));
  await walk(page, ["/m", "/m/orders/new", "/m/purchases?state=sold", "/m/purchases?state=part_refunded", "/m/purchases?amount=0.07"]);
  await page.goto("/m/orders/new");
  await page.getByLabel(say("sell-amount")).fill("20");
  await page.getByRole("button", { name: say("sell-do") }).click();
  await expect(page.getByRole("heading", { name: say("sell-show") })).toBeVisible();
  await walk(page, [new URL(page.url()).pathname]);
  // An older sale can be refunded, one of today only undone.
  await page.goto("/m/purchases?state=sold");
  const oldest = await page.locator("a.weui-cell").last().getAttribute("href");
  await walk(page, [`${oldest}/refund`]);
  await page.goto(`${oldest}/refund?amount=0.5`);
  await page.getByRole("button", { name: say("back-confirm") }).click();
  await expect(page.getByRole("heading", { name: say("back-done") })).toBeVisible();
  await walk(page, [new URL(page.url()).pathname]);
});

test("no page was forgotten", () => {
  expect(pages.filter((pattern) => !seen.has(pattern))).toEqual([]);
});
