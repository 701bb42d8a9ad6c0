// A borrower outside WeChat: applies, is approved or refused, sets a PIN, looks after cards, data and sessions.
import { expect, test } from "@playwright/test";
import { inBothLanguages, look, picture } from "./look.mjs";
import { approved, daysBefore, faults, fillIn, moveTo, newcomer, passcode, script, setPin, signIn, today } from "./people.mjs";
import { chinese as say } from "./words.mjs";

test("a newcomer applies, is approved, and looks after the account", async ({ page }) => {
  test.setTimeout(180_000);
  const person = newcomer(101);
  await page.goto("/home");
  await look(page, "sign-in-zh");
  await signIn(page, person.mobile);
  await fillIn(page, person, (step) => inBothLanguages(page, `apply-${step}`));
  await page.getByRole("button", { name: "提交申请" }).click();
  await expect(page.getByRole("heading", { name: "恭喜，额度已开通" })).toBeVisible();
  await inBothLanguages(page, "apply-approved");
  await page.getByRole("link", { name: "设置支付密码" }).click();
  await look(page, "pin-zh");
  await setPin(page, person);
  await look(page, "me-zh");
  await page.getByRole("link", { name: "首页" }).click();
  await expect(page.getByText("¥8,000.00").first()).toBeVisible();
  await look(page, "home-zh");
  await page.goto("/me/export");
  await page.getByLabel("支付密码").fill(person.pin);
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "下载" }).click()]);
  expect(file.suggestedFilename()).toBe("fenqi.json");
});

test("an application is refused with a reason, and a silent bank loses nothing", async ({ page }) => {
  const person = newcomer(102);
  await page.goto("/apply");
  await signIn(page, person.mobile);
  await fillIn(page, person);
  await script(page, "risk", ["score_too_low"]);
  await page.getByRole("button", { name: "提交申请" }).click();
  await expect(page.getByRole("heading", { name: "这次没有通过" })).toBeVisible();
  await expect(page.getByText("起，您可以再次申请")).toBeVisible();
  await inBothLanguages(page, "apply-refused");
  await page.getByRole("button", { name: "申请人工复核" }).click();
  await expect(page.getByRole("heading", { name: "正在人工审核" })).toBeVisible();
});

test("messages that cannot be sent are told, and the number is kept", async ({ page }) => {
  await page.goto("/sign-in");
  await faults(page, "sms", { timeout_before: 1000 });
  await page.getByLabel("手机号").fill("13712340999");
  await page.getByRole("button", { name: "获取验证码" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "短信暂时发不出去" })).toBeVisible();
  await expect(page.getByLabel("手机号")).toHaveValue("13712340999");
  await faults(page, "sms", {});
  await picture(page, "sign-in-sms-down");
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false });

  test("a newcomer applies and is approved", async ({ page }) => {
    const person = newcomer(103);
    await page.goto("/apply");
    await signIn(page, person.mobile);
    await fillIn(page, person);
    await page.getByRole("button", { name: "提交申请" }).click();
    await expect(page.getByRole("heading", { name: "恭喜，额度已开通" })).toBeVisible();
    await page.getByRole("link", { name: "设置支付密码" }).click();
    await setPin(page, person);
  });

  test("whom a computer has refused asks for a person", async ({ page }) => {
    const person = newcomer(105);
    await page.goto("/apply");
    await signIn(page, person.mobile);
    await fillIn(page, person);
    await script(page, "risk", ["score_too_low"]);
    await page.getByRole("button", { name: "提交申请" }).click();
    await page.getByRole("button", { name: "申请人工复核" }).click();
    await expect(page.getByRole("heading", { name: "正在人工审核" })).toBeVisible();
  });
});

test("whoever has another mobile signs in by it from then on", async ({ page }) => {
  test.setTimeout(180_000);
  const person = await approved(page, 106);
  const { mobile } = newcomer(107);
  // Whoever has just set the first PIN waits a day.
  await page.goto("/me/mobile");
  await expect(page.getByLabel(say("field-mobile_new"))).toHaveCount(0);
  await look(page, "mobile-kept-zh");
  await moveTo(page, daysBefore(await today(page), -2));
  await page.goto("/me");
  await page.getByRole("link", { name: say("mobile-title") }).click();
  await inBothLanguages(page, "mobile");
  await page.goto("/me/mobile");
  await page.getByLabel(say("field-mobile_new")).fill(mobile);
  await page.getByRole("button", { name: say("passcode-send") }).click();
  await expect(page.getByText(say("sign-in-sent"))).toBeVisible();
  await look(page, "mobile-sent-zh");
  await expect(page.getByLabel(say("field-mobile_new"))).toHaveValue(mobile);
  await page.getByLabel(say("field-passcode")).fill(await passcode(page, mobile));
  await page.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
  await page.getByRole("button", { name: say("mobile-do") }).click();
  await expect(page.getByText(say("flash-mobile-changed"))).toBeVisible();
  await page.context().clearCookies({ name: "fenqi" });
  // The new mobile has had no code to sign in with yet.
  await page.goto("/home");
  await signIn(page, mobile);
  await expect(page).toHaveURL((url) => url.pathname === "/home");
});
