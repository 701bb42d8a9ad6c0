// The whole life of a borrower outside WeChat: with script in Chinese, without it in English; and what the merchant sees of it.
import { expect, test } from "@playwright/test";
import { keeper, refunds, seesPurchase, seesSettlement } from "./counter.mjs";
import { live, typing } from "./life.mjs";
import { chinese, speaker } from "./words.mjs";

/** What the merchant does beside a borrower's life: sees the purchase, is paid for it, and gives a part back. */
function beside(browser, page, language, hasScript) {
  const say = speaker(language);
  let owner, purchase;
  const between = async () => {
    owner = await keeper(browser, page, language, hasScript);
    purchase = await seesPurchase(owner, "¥1,280.00");
  };
  const billed = async () => {
    await seesSettlement(owner, purchase);
    await refunds(owner, purchase, "300");
    await page.goto("/me/messages");
    const told = page.getByRole("listitem").filter({ hasText: say("notice-refund") });
    await expect(told).toContainText("¥300.00");
    await told.getByRole("link").click();
    await expect(page.getByText("¥300.00")).toBeVisible();
    await owner.shop.context().close();
  };
  return { between, billed };
}

test("a borrower lives from the first sign-in to the last payment, and the merchant sees it", async ({ page, browser }) => {
  test.setTimeout(300_000);
  const merchant = beside(browser, page, "zh-CN", true);
  await live(page, { number: 701, language: "zh-CN", name: "life-zh", isPoster: true, scan: typing(page, chinese), ...merchant });
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false, locale: "en-GB" });

  test("a borrower lives the same life in English, and so does the merchant", async ({ page, browser }) => {
    test.setTimeout(300_000);
    const merchant = beside(browser, page, "en", false);
    await live(page, { number: 702, language: "en", name: "life-en", hasScript: false, scan: typing(page, speaker("en")), ...merchant });
  });
});
