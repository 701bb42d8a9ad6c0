// The whole life of a borrower outside WeChat: with script in Chinese, without it in English.
import { test } from "@playwright/test";
import { live, typing } from "./life.mjs";
import { speaker } from "./words.mjs";

test("a borrower lives from the first sign-in to the last payment", async ({ page }) => {
  test.setTimeout(300_000);
  await live(page, { number: 301, language: "zh-CN", name: "life-zh", isPoster: true, scan: typing(page, speaker("zh-CN")) });
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false, locale: "en-GB" });

  test("a borrower lives the same life in English", async ({ page }) => {
    test.setTimeout(300_000);
    await live(page, { number: 302, language: "en", name: "life-en", hasScript: false, scan: typing(page, speaker("en")) });
  });
});
