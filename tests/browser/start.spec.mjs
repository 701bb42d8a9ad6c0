// The start page: light, in both languages, and held to what every page is held to.
import { expect, test } from "@playwright/test";
import { look } from "./look.mjs";

test("the start page speaks both languages, and an error leads home", async ({ page }) => {
  await page.goto("/");
  await expect(page.locator("html")).toHaveAttribute("lang", "zh-CN");
  await look(page, "start-zh");
  await page.getByRole("link", { name: "English" }).click();
  await expect(page.locator("html")).toHaveAttribute("lang", "en");
  await look(page, "start-en");
  await page.goto("/nowhere");
  await look(page, "error-en");
  await page.getByRole("link", { name: "To the home page" }).click();
  await expect(page).toHaveURL(/\/sign-in\?next=%2Fhome$/);
});
