// The start page: light, in both languages, and held to what every page is held to.
import { expect, test } from "@playwright/test";
import { look } from "./look.mjs";

test("the start page speaks both languages and comes back from an error", async ({ page }) => {
  await page.goto("/");
  await expect(page.locator("html")).toHaveAttribute("lang", "zh-CN");
  await look(page, "start-zh");
  await page.getByRole("link", { name: "English" }).click();
  await expect(page.locator("html")).toHaveAttribute("lang", "en");
  await look(page, "start-en");
  await page.goto("/nowhere");
  await look(page, "error-en");
  await page.getByRole("link", { name: "To the start page" }).click();
  await expect(page).toHaveURL("/");
});

test("the first page weighs less than 60 KiB with everything", async ({ page }) => {
  const client = await page.context().newCDPSession(page);
  await client.send("Network.enable");
  let bytes = 0;
  client.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  await page.goto("/", { waitUntil: "networkidle" });
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThan(60 * 1024);
});
