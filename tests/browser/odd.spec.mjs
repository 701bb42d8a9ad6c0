// What people do that nobody planned: two tabs, the way back after paying, and far too much text.
import { expect, test } from "@playwright/test";
import { approved, choose, shop, signIn, newcomer } from "./people.mjs";
import { chinese as say, speaker } from "./words.mjs";

test("two tabs pay off a loan once, and going back pays nothing twice", async ({ page, context }) => {
  test.setTimeout(120_000);
  const person = await approved(page, 501);
  const code = await shop(page);
  await page.goto(`${code}?amount=300`);
  await choose(page, /× 3/);
  const confirming = page.url();
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  await page.getByRole("button", { name: say("confirm-pay") }).click();
  await expect(page.getByRole("heading", { name: say("result-paid"), exact: true })).toBeVisible();
  const bought = page.url();
  // The page that confirmed leads to what it bought.
  await page.goto(confirming);
  await expect(page).toHaveURL(bought);
  await page.getByRole("link", { name: say("result-see-loan") }).click();
  const payoff = `${new URL(page.url()).pathname}/payoff`;
  const other = await context.newPage();
  for (const tab of [page, other]) {
    await tab.goto(payoff);
    await tab.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  }
  await page.getByRole("button", { name: say("payoff-go") }).click();
  await expect(page).toHaveURL(/\/repayments\//);
  await other.getByRole("button", { name: say("payoff-go") }).click();
  await expect(other.getByRole("alert").or(other.getByRole("heading", { name: say("order-title") })).or(other.getByText(say("loan-state-paid"), { exact: true })).first()).toBeVisible();
  await expect(page.getByRole("heading", { name: say("order-is-succeeded") })).toBeVisible({ timeout: 30_000 });
  // One purchase, one loan, and the line is whole: nothing was taken twice.
  await other.goto("/loans");
  await expect(other.getByRole("main").getByRole("link")).toHaveCount(1);
  await expect(other.getByRole("main").getByRole("link")).toContainText(say("loan-state-paid"));
  await other.goto("/home");
  await expect(other.getByText("¥8,000.00").first()).toBeVisible();
});

test("ten thousand characters and letters for money stay on the page with their error", async ({ page }) => {
  test.setTimeout(120_000);
  const person = newcomer(502);
  await page.goto("/apply");
  await signIn(page, person.mobile);
  await page.getByLabel(say("field-name")).evaluate((field) => field.removeAttribute("maxlength"));
  await page.getByLabel(say("field-name")).fill("长".repeat(10_000));
  await page.getByLabel(say("field-id_number")).fill(person.id);
  await page.getByLabel(say("field-agree_personal_information")).check();
  await page.getByLabel(say("field-agree_sensitive_information")).check();
  await page.getByRole("button", { name: say("next-step") }).click();
  await expect(page.locator("#name-error")).toBeVisible();
  await expect(page.getByLabel(say("field-id_number"))).toHaveValue(person.id);
  await expect(page.getByLabel(say("field-name"))).toBeFocused();
  // As much of it as any field keeps.
  await expect(page.getByLabel(say("field-name"))).toHaveValue("长".repeat(500));
  await page.context().clearCookies();
  await approved(page, 503);
  await page.goto(await shop(page));
  const amount = page.getByLabel(say("pay-amount"));
  await amount.fill("一百块");
  await page.getByRole("button", { name: say("pay-see-plans") }).click();
  await expect(page.locator("#amount-error")).toBeVisible();
  await expect(amount).toHaveValue("一百块");
});

test("what was typed comes along when the language is switched after a refusal, but for what is secret", async ({ page }) => {
  test.setTimeout(120_000);
  const english = speaker("en");
  const turn = () => page.locator("a.switch").click();
  const person = newcomer(504);
  await page.goto("/apply");
  await signIn(page, person.mobile);
  await page.getByLabel(say("field-name"), { exact: true }).fill("沈");
  await page.getByLabel(say("field-id_number"), { exact: true }).fill(person.id);
  await page.getByLabel(say("field-agree_personal_information")).check();
  await page.getByLabel(say("field-agree_sensitive_information")).check();
  await page.getByRole("button", { name: say("next-step") }).click();
  // The page's script puts the keyboard there, and has begun by then to look after the switch.
  await expect(page.getByLabel(say("field-name"), { exact: true })).toBeFocused();
  await turn();
  await expect(page.getByRole("heading", { name: english("identity-heading") })).toBeVisible();
  await expect(page.getByLabel(english("field-name"), { exact: true })).toHaveValue("沈");
  await expect(page.getByLabel(english("field-id_number"), { exact: true })).toHaveValue(person.id);
  await expect(page.getByLabel(english("field-agree_sensitive_information"))).toBeChecked();
  // Taken once: nothing stays behind in the browser.
  expect(await page.evaluate(() => sessionStorage.getItem("typed"))).toBeNull();
  await page.context().clearCookies();
  const known = await approved(page, 505);
  await page.goto("/me/pin");
  await page.getByLabel(say("field-pin_new"), { exact: true }).fill(known.pin);
  await turn();
  await expect(page.getByLabel(english("field-pin_new"), { exact: true })).toHaveValue("");
});
