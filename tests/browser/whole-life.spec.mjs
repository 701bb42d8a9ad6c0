// The whole life of a borrower outside WeChat: with script in Chinese, without it in English; and what the merchant sees of it.
import { test } from "@playwright/test";
import { beside } from "./counter.mjs";
import { live, typing } from "./life.mjs";
import { chinese, speaker } from "./words.mjs";

test("a borrower lives from the first sign-in to the last payment, and the merchant sees it", async ({ page, browser }) => {
  test.setTimeout(300_000);
  const merchant = beside(browser, page, "zh-CN");
  await live(page, { number: 701, language: "zh-CN", name: "life-zh", isPoster: true, scan: typing(page, chinese), ...merchant });
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false, locale: "en-GB" });

  test("a borrower lives the same life in English, and so does the merchant", async ({ page, browser }) => {
    test.setTimeout(300_000);
    const merchant = beside(browser, page, "en", { hasScript: false });
    await live(page, { number: 702, language: "en", name: "life-en", hasScript: false, scan: typing(page, speaker("en")), ...merchant });
  });
});
