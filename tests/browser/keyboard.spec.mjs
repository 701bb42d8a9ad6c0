// No mouse and no finger: the Tab key reaches everything that is needed, shows where it is, and Enter or Space does it.
import { expect, test } from "@playwright/test";
import { employee, newcomer, pass, passcode, shop } from "./people.mjs";
import { chinese as say } from "./words.mjs";

/** More than any page has to pass on the way. */
const pressesMax = 60;

/** A keyboard in front of a page. */
function keyboard(page) {
  const reach = async (target) => {
    await expect(target).toBeVisible();
    for (let presses = 0; presses <= pressesMax; presses += 1) {
      const here = await target.evaluate((element) => element === document.activeElement && getComputedStyle(element).outlineStyle);
      if (here) return expect(here, "the place of the keyboard is shown").not.toBe("none");
      await page.keyboard.press("Tab");
    }
    throw new Error(`the Tab key does not lead to ${target}`);
  };
  const type = async (label, text) => {
    await reach(page.getByLabel(say(label), { exact: true }));
    await page.keyboard.press("Control+A");
    await page.keyboard.type(text);
  };
  const press = async (target, key = "Enter") => {
    await reach(target);
    await page.keyboard.press(key);
  };
  const button = (name) => press(page.getByRole("button", { name: say(name) }));
  const link = (name) => press(page.getByRole("link", { name: say(name) }));
  const tick = (label) => press(page.getByLabel(say(label)), "Space");
  const heading = (name) => expect(page.getByRole("heading", { name: say(name) })).toBeVisible();
  const signIn = async (mobile) => {
    await type("field-mobile", mobile);
    await button("passcode-send");
    await expect(page.getByText(say("sign-in-sent"))).toBeVisible();
    // The next thing to type is where the keyboard is already.
    await expect(page.getByLabel(say("field-passcode"))).toBeFocused();
    await page.keyboard.type(await passcode(page, mobile));
    await page.keyboard.press("Enter");
  };
  return { reach, type, press, button, link, tick, heading, signIn };
}

test("a borrower signs in, applies, pays and pays back", async ({ page }) => {
  test.setTimeout(180_000);
  const person = newcomer(513);
  const { type, press, button, link, tick, heading, signIn } = keyboard(page);
  await page.goto("/apply");
  await signIn(person.mobile);
  await heading("identity-heading");
  await type("field-name", person.name);
  await type("field-id_number", person.id);
  await tick("field-agree_personal_information");
  await tick("field-agree_sensitive_information");
  await button("next-step");
  await heading("card-new-heading");
  await type("field-card_number", person.card);
  await type("field-card_mobile", person.mobile);
  await tick("field-agree_withholding");
  await button("card-new-do");
  await heading("card-code-heading");
  await type("field-card_code", person.mobile.slice(-6));
  await page.keyboard.press("Enter");
  for (const agreement of ["agreement-credit", "agreement-credit_report"]) {
    await heading(agreement);
    await press(page.getByRole("checkbox"), "Space");
    await button("agreement-agree");
  }
  await heading("submit-heading");
  await button("submit-do");
  await link("state-set-pin");
  await type("field-id_last", person.id.slice(-6));
  await type("field-pin_new", person.pin);
  await type("field-pin_again", person.pin);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("status")).toHaveText(say("flash-pin-set"));

  await page.goto(await shop(page));
  await type("pay-amount", "640");
  await page.keyboard.press("Enter");
  await press(page.getByRole("radio").first(), "Space");
  // The arrows go through the plans, as in every group of choices.
  await page.keyboard.press("ArrowDown");
  await expect(page.getByRole("radio").nth(1)).toBeChecked();
  await button("plans-next");
  await type("field-pin", person.pin);
  await page.keyboard.press("Enter");
  await heading("result-paid");

  await link("result-see-loan");
  await link("payoff-title");
  await type("field-pin", person.pin);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/repayments\//);
  await expect(page.getByRole("heading", { name: say("order-is-succeeded") })).toBeVisible({ timeout: 60_000 });
});

test("a merchant gives money back", async ({ page }) => {
  test.setTimeout(120_000);
  const { type, press, button, link, heading, signIn } = keyboard(page);
  await pass(page, 61);
  await page.goto("/m/purchases?state=sold");
  await signIn(await employee(page, "owner"));
  await press(page.locator("a.weui-cell").last());
  await link("sale-refund-go");
  await type("back-amount", "1.23");
  await page.keyboard.press("Enter");
  await heading("back-what");
  await button("back-confirm");
  await heading("back-done");
});
