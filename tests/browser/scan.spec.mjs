// A phone's camera reads a merchant's printed code; what it may not see, and what is no code of ours, is said.
import { expect, test } from "@playwright/test";
import encodeQR from "qr";
import { withCamera } from "./camera.mjs";
import { look, picture } from "./look.mjs";
import { approved, employee, pass, shop, signIn } from "./people.mjs";
import { chinese as say } from "./words.mjs";

/** The code on the sheet that the shop prints. */
async function printed(browser, page) {
  const owner = await (await browser.newContext({ baseURL: new URL(page.url()).origin, locale: "zh-CN" })).newPage();
  // A mobile gets one passcode a minute, and other tests sign in for this shop too.
  await pass(owner, 61);
  await owner.goto("/m/purchases");
  await signIn(owner, await employee(page, "owner"));
  await expect(owner).toHaveURL(/\/m\/purchases$/);
  const sheet = await (await owner.request.get("/m/poster.svg")).text();
  await owner.context().close();
  const [code] = sheet.match(/<svg x="[^]*?<\/svg>/);
  return code;
}

const open = (phone) => phone.getByRole("button", { name: say("scan-start") }).click();

test("the camera reads a printed code and the counter opens", async ({ page, browser }, { project }) => {
  test.setTimeout(120_000);
  await approved(page, 311);
  const code = await printed(browser, page);
  await withCamera(page, project.use, "printed", { svg: code, mayLook: true }, async (phone) => {
    await phone.goto("/scan");
    await open(phone);
    await expect(phone).toHaveURL(new RegExp(`${await shop(page)}$`));
    await expect(phone.getByLabel(say("pay-amount"))).toBeVisible();
    // Back from the counter the camera is off, and opens again.
    await phone.goBack();
    await open(phone);
    await expect(phone).toHaveURL(/\/q\//);
  });
});

test("a camera that may not look, and a code of somebody else's, are told", async ({ page }, { project }) => {
  test.setTimeout(120_000);
  await approved(page, 312);
  const svg = encodeQR("https://qr.alipay.com/fkx1234567890", "svg").replace("<svg ", '<svg width="400" height="400" ');
  await withCamera(page, project.use, "refused", { svg, mayLook: false }, async (phone) => {
    await phone.goto("/scan");
    await open(phone);
    await expect(phone.getByText(say("scan-denied"))).toBeVisible();
    await expect(phone.getByRole("button", { name: say("scan-start") })).toBeEnabled();
    await look(phone, "scan-refused-zh");
  });
  await withCamera(page, project.use, "foreign", { svg, mayLook: true }, async (phone) => {
    await phone.goto("/scan");
    await open(phone);
    await expect(phone.getByText(say("error-code_not_ours"))).toBeVisible();
    await expect(phone.getByLabel(say("field-scanned"))).toHaveAttribute("aria-invalid", "true");
    await picture(phone, "scan-foreign-zh");
  });
  // Nor is there anything in a picture of the page itself.
  await page.goto("/scan");
  const buffer = await page.screenshot();
  await page.locator("[data-finder] input[type=file]").setInputFiles({ name: "page.png", mimeType: "image/png", buffer });
  await expect(page.getByText(say("error-code_not_ours"))).toBeVisible();
});

test("a picture that was chosen without network is read when it is chosen again", async ({ page, context }) => {
  test.setTimeout(120_000);
  await approved(page, 313);
  await page.goto("/scan");
  const file = { name: "page.png", mimeType: "image/png", buffer: await page.screenshot() };
  const choose = () => page.locator("[data-finder] input[type=file]").setInputFiles(file);
  await context.setOffline(true);
  await choose();
  await expect(page.locator("[data-finder]").getByRole("status")).toHaveText(say("part-offline"));
  await context.setOffline(false);
  await choose();
  await expect(page.getByText(say("error-code_not_ours"))).toBeVisible();
});
