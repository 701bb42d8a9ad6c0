// The other side of the counter: the merchant's owner signs in, sees a purchase, refunds a part of it, and sees the settlement.
import { expect } from "@playwright/test";
import { look, picture } from "./look.mjs";
import { employee, passcode } from "./people.mjs";
import { speaker } from "./words.mjs";

/** The owner of the shop to try, in a browser of their own, in a language, with script or without, as the browser that is named. */
async function keeper(browser, page, language, { hasScript = true, userAgent }) {
  const mobile = await employee(page, "owner", language);
  const baseURL = new URL(page.url()).origin;
  const context = await browser.newContext({ baseURL, viewport: page.viewportSize(), locale: language, javaScriptEnabled: hasScript, userAgent });
  const shop = await context.newPage();
  // What looks at a page closely needs scripts in it.
  const see = (name) => (hasScript ? look : picture)(shop, `counter-${name}-${language.slice(0, 2)}`);
  return { shop, mobile, say: speaker(language), see };
}

/** Opens a page, and signs in first where that is asked for: sessions end while months pass. */
async function comeTo({ shop, mobile, say }, path) {
  await shop.goto(path);
  if (new URL(shop.url()).pathname === "/m/sign-in") {
    await shop.getByLabel(say("field-mobile")).fill(mobile);
    await shop.getByRole("button", { name: say("passcode-send") }).click();
    await expect(shop.getByText(say("sign-in-sent"))).toBeVisible();
    await shop.getByLabel(say("field-passcode")).fill(await passcode(shop, mobile));
    await shop.getByRole("button", { name: say("sign-in-do"), exact: true }).click();
  }
  await expect(shop).toHaveURL((url) => url.pathname === path);
}

/** The merchant finds the purchase that a borrower has just made, with what comes of it. */
async function seesPurchase(keeper, amount) {
  const { shop, say, see } = keeper;
  await comeTo(keeper, "/m/purchases");
  await shop.getByRole("main").getByRole("link", { name: amount }).first().click();
  await expect(shop.getByRole("heading", { name: say("sale-net-story") })).toBeVisible();
  await see("purchase");
  return new URL(shop.url()).pathname;
}

/** A part goes back; what that does is shown first. */
async function refunds(keeper, purchase, yuan) {
  const { shop, say, see } = keeper;
  await comeTo(keeper, purchase);
  await shop.getByRole("link", { name: say("sale-refund-go"), exact: true }).click();
  await shop.getByLabel(say("back-amount")).fill(yuan);
  await shop.getByRole("button", { name: say("back-see"), exact: true }).click();
  await expect(shop.getByText(say("back-nothing-yet"))).toBeVisible();
  await see("refund");
  await shop.getByRole("button", { name: say("back-confirm") }).click();
  await expect(shop.getByRole("heading", { name: say("back-done") })).toBeVisible();
}

/** The settlement of the day of the purchase has been paid. */
async function seesSettlement(keeper, purchase) {
  const { shop, say, see } = keeper;
  await comeTo(keeper, purchase);
  await shop.getByRole("link", { name: say("sale-settled-in") }).click();
  await expect(async () => {
    await shop.reload();
    await expect(shop.getByText(say("settle-state-paid"), { exact: true }).first()).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 90_000 });
  await see("settlement");
}

/** What the merchant does beside a borrower's life: sees the purchase, is paid for it, and gives a part back. */
export function beside(browser, page, language, how = {}) {
  const say = speaker(language);
  let owner, purchase;
  const between = async () => {
    owner = await keeper(browser, page, language, how);
    purchase = await seesPurchase(owner, "¥1,280.00");
  };
  const billed = async () => {
    await seesSettlement(owner, purchase);
    await refunds(owner, purchase, "300");
    await page.goto("/me/messages");
    const told = page.getByRole("listitem").filter({ hasText: say("notice-refund") });
    await expect(told).toContainText("¥300.00");
    await told.getByRole("link").click();
    await expect(page.getByText(say("result-refund", { amount: "¥300.00" }))).toBeVisible();
    await owner.shop.context().close();
  };
  return { between, billed };
}
