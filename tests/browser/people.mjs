// People who come to the pages: they read their SMS in the sandbox, sign in, and apply.
import { expect } from "@playwright/test";

/** The address of the counterfeit world, which the start page leads to. */
async function sandbox(page) {
  const start = await (await page.request.get("/")).text();
  return new URL(start.match(/href="(http[^"]+\/inbox)"/)[1]).origin;
}

/** Prescribes how a partner answers next. */
export async function script(page, partner, answers, match) {
  const outcomes = answers.map((answer) => ({ answer }));
  await page.request.post(`${await sandbox(page)}/script`, { data: { partner, outcomes, ...(match ? { match } : {}) } });
}

/** Sets what goes wrong with a partner's calls, in thousandths. */
export async function faults(page, partner, shares) {
  await page.request.post(`${await sandbox(page)}/faults`, { data: { partner, shares } });
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

/** Signs in on the sign-in page that is shown, in Chinese. */
export async function signIn(page, mobile) {
  await page.getByLabel("手机号").fill(mobile);
  await page.getByRole("button", { name: "获取验证码" }).click();
  await expect(page.getByText("验证码已发送")).toBeVisible();
  await page.getByLabel("短信验证码").fill(await passcode(page, mobile));
  await page.getByRole("button", { name: "登录", exact: true }).click();
}

/** From the identity step to the last button; `seen` is told of every step. */
export async function fillIn(page, person, seen = async () => {}) {
  await expect(page.getByRole("heading", { name: "先认识一下您" })).toBeVisible();
  await seen("identity");
  await page.getByLabel("姓名").fill(person.name);
  await page.getByLabel("身份证号").fill(person.id);
  await page.getByLabel("我已阅读并同意《个人信息处理授权书》").check();
  await page.getByLabel("我单独同意处理我的敏感个人信息").check();
  await page.getByRole("button", { name: "下一步" }).click();
  await expect(page.getByRole("heading", { name: "绑定银行卡" })).toBeVisible();
  await seen("card");
  await page.getByLabel("银行卡号").fill(person.card);
  await page.getByLabel("银行预留手机号").fill(person.mobile);
  await page.getByLabel("我已阅读并同意《委托扣款协议》").check();
  await page.getByRole("button", { name: "同意并获取验证码" }).click();
  await expect(page.getByRole("heading", { name: "输入银行验证码" })).toBeVisible();
  await seen("card-code");
  await page.getByLabel("银行短信验证码").fill(person.mobile.slice(-6));
  await page.getByRole("button", { name: "确认绑定" }).click();
  await expect(page.getByRole("heading", { name: "个人消费信贷额度协议" })).toBeVisible();
  await seen("agreement");
  await page.getByRole("checkbox").check();
  await page.getByRole("button", { name: "同意并继续" }).click();
  await expect(page.getByRole("heading", { name: "信用报告查询及报送授权书" })).toBeVisible();
  await page.getByRole("checkbox").check();
  await page.getByRole("button", { name: "同意并继续" }).click();
  await expect(page.getByRole("heading", { name: "核对并提交" })).toBeVisible();
  await seen("submit");
}

/** Sets the first PIN on the page that is shown. */
export async function setPin(page, person) {
  await page.getByLabel("身份证后六位").fill(person.id.slice(-6));
  await page.getByLabel("新支付密码").fill(person.pin);
  await page.getByLabel("再输入一次").fill(person.pin);
  await page.getByRole("button", { name: "保存" }).click();
  await expect(page.getByRole("status")).toHaveText("支付密码已设置");
}
