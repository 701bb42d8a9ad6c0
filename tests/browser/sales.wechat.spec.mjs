// A shop inside WeChat, which may neither print nor keep files: the page says where to, and has no button that does nothing.
import { expect, test } from "@playwright/test";
import { look } from "./look.mjs";
import { employee, pass, signIn } from "./people.mjs";
import { chinese as say } from "./words.mjs";

test("the printed code is printed outside WeChat", async ({ page }) => {
  await pass(page, 61);
  await page.goto("/m/poster");
  await signIn(page, await employee(page, "owner"));
  await expect(page).toHaveURL(/\/m\/poster$/);
  await expect(page.getByText(say("file-in-wechat"))).toBeVisible();
  await expect(page.getByRole("button", { name: say("poster-print") })).toBeHidden();
  await expect(page.getByRole("link", { name: say("poster-svg") })).toBeVisible();
  await look(page, "poster-wechat-zh");
});
