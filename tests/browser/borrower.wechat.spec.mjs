// A borrower inside WeChat: proves the mobile once, and is signed in by WeChat from then on.
import { expect, test } from "@playwright/test";
import { fillIn, newcomer, signIn } from "./people.mjs";

test("WeChat signs in whoever has proved a mobile once", async ({ page, context }) => {
  const person = newcomer(104);
  await page.goto("/home");
  await expect(page).toHaveURL(/\/sign-in\?by=mobile/);
  await signIn(page, person.mobile);
  await fillIn(page, person);
  await page.getByRole("button", { name: "提交申请" }).click();
  await expect(page.getByRole("heading", { name: "恭喜，额度已开通" })).toBeVisible();
  await context.clearCookies({ name: "fenqi" });
  await page.goto("/me");
  await expect(page).toHaveURL(/\/me(#|$)/);
  await expect(page.getByText("沈**")).toBeVisible();
  // Signing out leads to the mobile and not back to WeChat, which the content policy would stop and which would sign in again.
  await page.getByRole("button", { name: "退出登录" }).click();
  await expect(page).toHaveURL(/\/sign-in\?by=mobile/);
  await expect(page.getByText("您已退出登录")).toBeVisible();
});
