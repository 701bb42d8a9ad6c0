// A borrower scans, pays, reads bills and loans, and pays them: by clicking, with the network cut, and without script.
import { expect, test } from "@playwright/test";
import { look, picture } from "./look.mjs";
import { approved, choose, customer, loseAnswer, pass, script, shop, signIn } from "./people.mjs";

test("a printed code is paid in installments, also where the network is cut", async ({ page }) => {
  test.setTimeout(240_000);
  const person = await approved(page, 201);
  const code = await shop(page);
  await page.goto("/scan");
  await page.getByLabel("收款码上的链接").fill(`https://pay.example.cn${code}`);
  await page.getByRole("button", { name: "去付款" }).click();
  for (const key of ["1", "2", "8", "0", "删除", ".", "5"]) await page.getByRole("button", { name: key, exact: true }).click();
  await expect(page.getByLabel("付款金额")).toHaveValue("128.5");
  // What the keys have typed is read out, too.
  await expect(page.locator("output")).toHaveText("128.5");
  await look(page, "keypad-zh");
  await page.getByLabel("付款金额").fill("1280");
  await page.getByRole("button", { name: "看分期方案" }).click();
  await choose(page, /× 12 期/);
  await page.getByText("这些数字怎么来的").click();
  await look(page, "confirm-zh");
  await page.getByLabel("支付密码").fill("999998");
  await page.getByRole("button", { name: /确认付款/ }).click();
  await expect(page.getByRole("alert").filter({ hasText: "支付密码不对" })).toBeVisible();
  // The answer to the first try never comes; the page asks again with the same key.
  await loseAnswer(page, "**/confirm");
  await page.getByLabel("支付密码").fill(person.pin);
  await page.getByRole("button", { name: /确认付款/ }).click();
  await expect(page.getByRole("heading", { name: "付款成功" })).toBeVisible();
  await page.reload();
  await page.getByRole("link", { name: "看借款详情" }).click();
  await expect(page.getByText("未出账").first()).toBeVisible();
  await page.getByRole("link", { name: /第 1 期/ }).click();
  await expect(page.getByText("记账明细")).toBeVisible();
  await page.goto("/loans");
  await expect(page.getByRole("main").getByRole("link")).toHaveCount(1);
});

test("what is owed now is said, and the loan agreement is read", async ({ page }) => {
  await pass(page, 61);
  await page.goto("/bills");
  await signIn(page, await customer(page, 0));
  await expect(page.getByText("现在应还")).toBeVisible();
  await page.goto("/loans");
  await page.getByRole("link").filter({ hasText: "还款中" }).first().click();
  await page.getByRole("link", { name: "借款合同" }).click();
  // The figure itself: the text of the agreement has the word in any case.
  for (const kind of ["年化利率（单利）", "年化利率（复利，IRR）"]) {
    await expect(page.locator(".pair", { has: page.getByText(kind, { exact: true }) }).locator("dd")).toHaveText(/^\d+(\.\d+)?%$/);
  }
});

test("what is late says so", async ({ page }) => {
  await pass(page, 61);
  await page.goto("/bills");
  await signIn(page, await customer(page, 1));
  await expect(page.getByText("已逾期").first()).toBeVisible();
});

test("wrong codes and other apps are told what to do", async ({ page, browser }) => {
  await page.goto("/q/nothing");
  await expect(page.getByRole("heading", { name: "现在不能付款" })).toBeVisible();
  await expect(page.getByText("没有找到这个收款码")).toBeVisible();
  const userAgent = "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Mobile/15E148 AliApp(AP/10.6) AlipayClient/10.6";
  const alipay = await browser.newContext({ userAgent, viewport: { width: 390, height: 844 }, locale: "zh-CN" });
  const elsewhere = await alipay.newPage();
  await elsewhere.goto(new URL(await shop(page), page.url()).href);
  await expect(elsewhere.getByRole("heading", { name: "请不要在支付宝里付款" })).toBeVisible();
  await look(elsewhere, "elsewhere-zh");
  await alipay.close();
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false });

  test("a code is paid by the keypad, and the bank's silence is told honestly", async ({ page }) => {
    test.setTimeout(120_000);
    const person = await approved(page, 202);
    await page.goto(await shop(page));
    for (const key of ["9", "8", ".", "5"]) await page.getByRole("button", { name: key, exact: true }).click();
    await expect(page.getByLabel("付款金额")).toHaveValue("98.5");
    await page.getByRole("button", { name: "看分期方案" }).click();
    await choose(page, /× 3 期/);
    await page.getByLabel("支付密码").fill(person.pin);
    await page.getByRole("button", { name: /确认付款/ }).click();
    await expect(page.getByRole("heading", { name: "付款成功" })).toBeVisible();
    await page.getByRole("link", { name: "看借款详情" }).click();
    await page.getByRole("link", { name: "提前结清" }).click();
    await script(page, "withholding_a", [{ answer: "success", fault: "timeout_after" }]);
    await page.getByLabel("支付密码").fill(person.pin);
    await page.getByRole("button", { name: /结清/ }).click();
    await expect(page).toHaveURL(/\/repayments\//);
    await expect(page.getByRole("heading", { name: "银行还没有给出结果" })).toBeVisible({ timeout: 60_000 });
    await expect(page.getByText("请不要再还一次")).toBeVisible();
    await picture(page, "repayment-unknown-zh");
  });
});
