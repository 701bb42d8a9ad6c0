// People who come to the pages: they read their SMS in the sandbox, sign in, and apply.
import { expect } from "@playwright/test";
import { chinese, speaker } from "./words.mjs";

/** The address of the counterfeit world, which the start page leads to. */
async function sandbox(page) {
  const start = await (await page.request.get("/")).text();
  return new URL(start.match(/href="(http[^"]+\/inbox)"/)[1]).origin;
}

/** Prescribes how a partner answers next. */
export async function script(page, partner, answers, match) {
  const outcomes = answers.map((answer) => (typeof answer === "string" ? { answer } : answer));
  await page.request.post(`${await sandbox(page)}/script`, { data: { partner, outcomes, ...(match ? { match } : {}) } });
}

/** The mobile of somebody who works at the start page's shop. */
export async function employee(page, role, language = "zh-CN") {
  const start = await (await page.request.get(`/?lang=${language}`)).text();
  return start.match(new RegExp(`<dt>${speaker(language)(`role-${role}`)}</dt><dd[^>]*><b>(1\\d{10})</b>`))[1];
}

/** The mobile of somebody who lives in the story: 0 has a bill, 1 is late, 2 has bought nothing for long. */
export async function customer(page, place) {
  const start = await (await page.request.get("/?lang=zh-CN")).text();
  return [...start.matchAll(/<dd[^>]*><b>(1\d{10})<\/b>/g)][place][1];
}

/** Sets what goes wrong with a partner's calls, in thousandths. */
export async function faults(page, partner, shares) {
  await page.request.post(`${await sandbox(page)}/faults`, { data: { partner, shares } });
}

/** Cuts the network once: the first form that is sent to this address is taken, and its answer never comes. */
export async function loseAnswer(page, address) {
  let cut = true;
  await page.route(address, async (route) => {
    if (route.request().method() !== "POST" || !cut) return route.continue();
    cut = false;
    await route.fetch({ maxRedirects: 0 });
    return route.abort("connectionreset");
  });
}

/** The newest passcode sent to a mobile. */
export async function passcode(page, mobile) {
  const address = `${await sandbox(page)}/messages?mobile=${mobile}`;
  const messages = await (await page.request.get(address)).json();
  return messages.find(({ template }) => template === "passcode").parameters.code;
}

/** A person whom nobody knows yet; numbers that pass their checks, different for each `number`. */
export function newcomer(number) {
  const weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
  const body = `31011519900101${String(number).padStart(3, "0")}`;
  const sum = [...body].reduce((sum, digit, place) => sum + Number(digit) * weights[place], 0);
  const cardBody = `621799000000${String(number).padStart(3, "0")}`;
  const doubled = [...cardBody].reverse().map((digit, place) => Number(digit) * (place % 2 === 0 ? 2 : 1));
  const luhn = doubled.reduce((sum, digit) => sum + (digit > 9 ? digit - 9 : digit), 0);
  return {
    name: "沈试用",
    id: body + "10X98765432"[sum % 11],
    mobile: `1371234${String(number).padStart(4, "0")}`,
    card: `${cardBody}${(10 - (luhn % 10)) % 10}`,
    pin: "271828",
  };
}

/** A company whose credit code passes its check, different for each `number`, and whoever speaks for it. */
export function company(number) {
  const letters = "0123456789ABCDEFGHJKLMNPQRTUWXY";
  const organisation = `MA1K${String(number).padStart(4, "0")}`;
  const value = (letter) => parseInt(letter, 36);
  const inner = [...organisation].reduce((sum, letter, place) => sum + value(letter) * [3, 7, 9, 10, 5, 8, 4, 2][place], 0);
  const body = `91310115${organisation}${"0X987654321"[inner % 11]}`;
  const sum = [...body].reduce((sum, letter, place) => sum + letters.indexOf(letter) * (3 ** place % 31), 0);
  return {
    name: `上海试营${number}家居有限公司`,
    code: body + letters[(31 - (sum % 31)) % 31],
    account: `31001550400050${String(number).padStart(6, "0")}`,
    contact: "钱掌柜",
    mobile: `1381234${String(number).padStart(4, "0")}`,
  };
}

/** Lets so many seconds pass in the house and its counterfeit world. */
export async function pass(page, seconds) {
  const { now } = await (await page.request.get(`${await sandbox(page)}/clock`)).json();
  const later = new Date(new Date(now).getTime() + seconds * 1000).toISOString();
  await page.request.post(`${await sandbox(page)}/clock`, { data: { now: later } });
}

/** Signs in on the sign-in page that is shown. */
export async function signIn(page, mobile, say = chinese) {
  await page.getByLabel(say("field-mobile")).fill(mobile);
  await page.getByRole("button", { name: say("passcode-send") }).click();
  await expect(page.getByText(say("sign-in-sent"))).toBeVisible();
  await page.getByLabel(say("field-passcode")).fill(await passcode(page, mobile));
  await page.getByRole("button", { name: say("sign-in-do"), exact: true }).click();
}

/** From the identity step to the last button; `seen` is told of every step. */
export async function fillIn(page, person, seen = async () => {}, say = chinese) {
  const heading = (key) => expect(page.getByRole("heading", { name: say(key) })).toBeVisible();
  await heading("identity-heading");
  await seen("identity");
  await page.getByLabel(say("field-name")).fill(person.name);
  await page.getByLabel(say("field-id_number")).fill(person.id);
  await page.getByLabel(say("field-agree_personal_information")).check();
  await page.getByLabel(say("field-agree_sensitive_information")).check();
  await page.getByRole("button", { name: say("next-step") }).click();
  await heading("card-new-heading");
  await seen("card");
  await page.getByLabel(say("field-card_number")).fill(person.card);
  await page.getByLabel(say("field-card_mobile")).fill(person.mobile);
  await page.getByLabel(say("field-agree_withholding")).check();
  await page.getByRole("button", { name: say("card-new-do") }).click();
  await heading("card-code-heading");
  await seen("card-code");
  await page.getByLabel(say("field-card_code")).fill(person.mobile.slice(-6));
  await page.getByRole("button", { name: say("card-code-do") }).click();
  await heading("agreement-credit");
  await seen("agreement");
  await page.getByRole("checkbox").check();
  await page.getByRole("button", { name: say("agreement-agree") }).click();
  await heading("agreement-credit_report");
  await page.getByRole("checkbox").check();
  await page.getByRole("button", { name: say("agreement-agree") }).click();
  await heading("submit-heading");
  await seen("submit");
}

/** Sets the first PIN on the page that is shown. */
export async function setPin(page, person, say = chinese) {
  await page.getByLabel(say("field-id_last")).fill(person.id.slice(-6));
  await page.getByLabel(say("field-pin_new"), { exact: true }).fill(person.pin);
  await page.getByLabel(say("field-pin_again")).fill(person.pin);
  await page.getByRole("button", { name: say("pin-do"), exact: true }).click();
  await expect(page.getByRole("status")).toHaveText(say("flash-pin-set"));
}

/** A newcomer with a line and a PIN. */
export async function approved(page, number, say = chinese) {
  const person = newcomer(number);
  await page.goto("/apply");
  await signIn(page, person.mobile, say);
  await fillIn(page, person, undefined, say);
  await page.getByRole("button", { name: say("submit-do") }).click();
  await page.getByRole("link", { name: say("state-set-pin") }).click();
  await setPin(page, person, say);
  return person;
}

/** The start page's shop to try. */
export async function shop(page) {
  const start = await (await page.request.get("/")).text();
  return start.match(/href="(\/q\/\w+)"/)[1];
}

/** From the plans to the page that asks for the PIN. */
export async function choose(page, periods, say = chinese) {
  await page.getByRole("radio", { name: periods }).first().check();
  await page.getByRole("button", { name: say("plans-next"), exact: true }).click();
  await expect(page.getByRole("button", { name: say("confirm-pay") })).toBeVisible();
}

/** The business day of the house, as its start page says it. */
export async function today(page) {
  const start = await (await page.request.get("/")).text();
  return start.match(/<time datetime="(\d{4}-\d\d-\d\d)"/)[1];
}

/** The day so many days before another; after it where they are negative. */
export function daysBefore(day, days) {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() - days);
  return date.toISOString().slice(0, 10);
}

/** Moves the house and its counterfeit world to noon of a day to come, and waits until every day before is closed. */
export async function moveTo(page, day) {
  const now = await (await page.request.get(`${await sandbox(page)}/clock`)).json();
  const noon = new Date(`${day}T12:00:00+08:00`);
  if (new Date(now.now) < noon) await page.request.post(`${await sandbox(page)}/clock`, { data: { now: noon.toISOString() } });
  await expect.poll(() => today(page), { timeout: 120_000, intervals: [250] }).toBe(day);
}

/** What the counterfeit WeChat was told to tell people, newest first. */
export async function subscriptionMessages(page) {
  return (await page.request.get(`${await sandbox(page)}/wechat/messages`)).json();
}
