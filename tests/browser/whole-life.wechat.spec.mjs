// The whole life of a borrower inside WeChat, which signs in, scans, and tells of the bill; and what a merchant there sees of it.
import { expect, test } from "@playwright/test";
import { beside } from "./counter.mjs";
import { look } from "./look.mjs";
import { live } from "./life.mjs";
import { shop, subscriptionMessages } from "./people.mjs";
import { wechat } from "./playwright.config.mjs";
import { chinese as say, speaker } from "./words.mjs";
import { playWeChat } from "./wechat.mjs";

test("a borrower lives inside WeChat and is told there", async ({ page }) => {
  test.setTimeout(300_000);
  await playWeChat(page, `https://pay.example.cn${await shop(page)}`);
  const scan = () => page.getByRole("button", { name: say("scan-by-wechat") }).click();
  const between = async () => {
    await page.goto("/me/messages");
    await look(page, "wechat-messages-zh");
    await page.locator("wx-open-subscribe").first().click();
    await expect(page.getByRole("status")).toHaveText(say("flash-wechat-allowed"));
    await expect(page.getByText(say("wechat-times", { times: 1 })).first()).toBeVisible();
  };
  await live(page, { number: 703, language: "zh-CN", name: "life-wechat", scan, between });
  const told = await subscriptionMessages(page);
  const bill = told.find(({ template_id }) => template_id === "template-bill_issued");
  expect(bill.page).toMatch(/\/bills\/\d{4}-\d\d-\d\d$/);
  expect(bill.data.amount1.value).toMatch(/^[\d,]+\.\d\d元$/);
});

test.describe("in English", () => {
  test.use({ locale: "en-GB" });

  test("a borrower lives the same life inside WeChat, and so does the merchant", async ({ page, browser }) => {
    test.setTimeout(300_000);
    const english = speaker("en");
    await playWeChat(page, `https://pay.example.cn${await shop(page)}`);
    const scan = () => page.getByRole("button", { name: english("scan-by-wechat") }).click();
    const merchant = beside(browser, page, "en", { userAgent: wechat });
    await live(page, { number: 704, language: "en", name: "life-wechat-en", scan, ...merchant });
  });
});
