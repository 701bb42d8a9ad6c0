// The bell at the counter: off until somebody asks for it, held back until the page was touched, once for each payment.
import { expect, test } from "@playwright/test";
import { look } from "./look.mjs";
import { approved, choose, employee, pass, shop, signIn } from "./people.mjs";
import { chinese as say } from "./words.mjs";

/**
 * Puts a bell that only counts in the place of the browser's sound. As in a browser, nothing sounds until a person has touched the
 * page; where it `refuses`, nothing ever does. Runs in the page.
 */
function countBells(refuses) {
  let isTouched = false;
  const touched = (event) => (isTouched ||= event.isTrusted);
  // A finger counts as a touch when it is lifted, a mouse when it is pressed.
  window.addEventListener("pointerdown", (event) => event.pointerType === "mouse" && touched(event), true);
  window.addEventListener("pointerup", (event) => event.pointerType !== "mouse" && touched(event), true);
  window.addEventListener("keydown", touched, true);
  window.bells = { heard: 0, stuck: 0 };
  window.AudioContext = class extends EventTarget {
    state = isTouched && !refuses ? "running" : "suspended";
    currentTime = 0;
    destination = {};
    resume() {
      // A browser that does not allow it yet gives no answer.
      if (!isTouched || refuses) return new Promise(() => {});
      this.state = "running";
      this.dispatchEvent(new Event("statechange"));
      return Promise.resolve();
    }
    createGain() {
      return { gain: { setValueAtTime() {}, exponentialRampToValueAtTime() {} }, connect: (to) => to };
    }
    createOscillator() {
      const frequency = { value: 0 };
      const start = () => {
        // The first of a bell's notes. Those that are made in silence would all sound at once when it ends.
        if (frequency.value === 880) window.bells[this.state === "running" ? "heard" : "stuck"] += 1;
      };
      return { frequency, connect: (to) => to, start, stop() {} };
    }
  };
}

const bells = (page) => page.evaluate(() => window.bells);
const line = (page, yuan) => page.locator("#lines li").filter({ hasText: `¥${yuan}.00` });

/** What the button says, and whether it is pressed. */
async function saysSound(page, words, isOn) {
  await expect(page.locator("#sound")).toHaveText(say(words));
  await expect(page.locator("#sound")).toHaveAttribute("aria-pressed", String(isOn));
}

/** Opens the counter, where the cashier is signed in already. */
async function openCounter(page) {
  await page.goto("/m/receipts");
  await expect(page.locator("#live")).toHaveText(say("receipts-live"));
}

test("the bell rings once for each payment, and says when the browser holds it back", async ({ page, browser }) => {
  test.setTimeout(300_000);
  await page.goto("/");
  const context = await browser.newContext({ baseURL: new URL(page.url()).origin, viewport: page.viewportSize(), locale: "zh-CN" });
  const customer = await context.newPage();
  const person = await approved(customer, 941);
  const code = await shop(customer);
  /** A customer pays; the counter has the line. */
  const pays = async (counter, yuan) => {
    await customer.goto(`${code}?amount=${yuan}`);
    await choose(customer, /× 3/);
    await customer.getByLabel(say("field-pin"), { exact: true }).fill(person.pin);
    await customer.getByRole("button", { name: say("confirm-pay") }).click();
    await expect(customer.getByRole("heading", { name: say("result-paid"), exact: true })).toBeVisible();
    await expect(line(counter, yuan)).toHaveCount(1);
  };
  // Others may have signed in as the cashier a moment ago.
  await pass(page, 61);
  await page.addInitScript(countBells, false);
  await page.goto("/m/receipts");
  await signIn(page, await employee(page, "cashier"));
  await expect(page).toHaveURL(/\/m\/receipts$/);
  await expect(page.locator("#live")).toHaveText(say("receipts-live"));
  const sound = page.locator("#sound");

  // Nobody has asked for it.
  await saysSound(page, "receipts-sound-off", false);
  await pays(page, 101);
  expect(await bells(page)).toEqual({ heard: 0, stuck: 0 });

  // Whoever asks for it hears it, and then each payment.
  await sound.tap();
  await saysSound(page, "receipts-sound-on", true);
  expect(await bells(page)).toEqual({ heard: 1, stuck: 0 });
  await pays(page, 102);
  expect(await bells(page)).toEqual({ heard: 2, stuck: 0 });
  await sound.tap();
  await saysSound(page, "receipts-sound-off", false);
  await sound.tap();
  await saysSound(page, "receipts-sound-on", true);
  expect(await bells(page)).toEqual({ heard: 3, stuck: 0 });

  // Loaded again it remembers, but the browser lets no sound through: it says so, and what came in meanwhile rings once.
  await page.reload();
  await expect(page.locator("#live")).toHaveText(say("receipts-live"));
  await saysSound(page, "receipts-sound-touch", false);
  const seen = new URL(await page.locator("#receipts").getAttribute("data-events"), page.url()).searchParams.get("after");
  await pays(page, 103);
  await pays(page, 104);
  expect(await bells(page)).toEqual({ heard: 0, stuck: 0 });
  await page.locator("#takings").tap();
  await saysSound(page, "receipts-sound-on", true);
  expect(await bells(page)).toEqual({ heard: 1, stuck: 0 });

  // What is told twice rings no second time: the connection comes back and is told all since the page was loaded.
  await page.route(/\/m\/receipts\/events/, (route) => {
    const again = new URL(route.request().url());
    again.searchParams.set("after", seen);
    return route.continue({ url: again.href });
  });
  const asked = page.waitForRequest(/\/m\/receipts\/events/);
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await asked;
  await pays(page, 105);
  expect(await bells(page)).toEqual({ heard: 2, stuck: 0 });
  await expect(line(page, 103)).toHaveCount(1);
  await page.unroute(/\/m\/receipts\/events/);

  // A key that wakes the sound does not switch it off.
  await page.reload();
  await saysSound(page, "receipts-sound-touch", false);
  await sound.focus();
  await page.keyboard.press("Space");
  await saysSound(page, "receipts-sound-on", true);
  expect(await bells(page)).toEqual({ heard: 1, stuck: 0 });

  // Where the browser lets nothing through however often it is touched, the button says so; the lines come all the same.
  const silent = await page.context().newPage();
  await silent.addInitScript(countBells, true);
  await openCounter(silent);
  await saysSound(silent, "receipts-sound-touch", false);
  await silent.locator("#sound").tap();
  await saysSound(silent, "receipts-sound-refused", false);
  await look(silent, "receipts-silent-zh");
  await pays(silent, 106);
  expect(await bells(silent)).toEqual({ heard: 0, stuck: 0 });
  await expect(line(page, 106)).toHaveCount(1);
  expect(await bells(page)).toEqual({ heard: 2, stuck: 0 });
  await silent.close();

  // A browser that knows no such sound has no button that would do nothing.
  const mute = await page.context().newPage();
  await mute.addInitScript(() => delete window.AudioContext);
  await openCounter(mute);
  await expect(mute.locator("#sound")).toBeHidden();
  await mute.close();

  // What is told together is said together, to whoever listens and does not look.
  const listened = await page.context().newPage();
  await openCounter(listened);
  const day = await listened.locator("#receipts").getAttribute("data-day");
  const rows = ["one", "two"].map((key) => ({ key, html: `<li id="r-${key}" class="weui-cell">${key}</li>`, said: `said ${key}`, paid: true }));
  const data = JSON.stringify({ day, rows, count: "2", amount: "¥123,456,789.00", undone: "0" });
  await listened.route(/\/m\/receipts\/events/, (route) => route.fulfill({ contentType: "text/event-stream", body: `event: receipts\ndata: ${data}\n\n` }));
  await listened.reload();
  await expect(listened.locator("#said")).toHaveText("said one said two");
  // What a large shop takes in on a day is no wider than the smallest screen.
  await expect(listened.locator("#takings")).toHaveText("¥123,456,789.00");
  await look(listened, "receipts-large-zh");

  // A page that is told to load itself anew as soon as it is there does so after a while, and not at once and for ever.
  await listened.unroute(/\/m\/receipts\/events/);
  await listened.route(/\/m\/receipts\/events/, (route) => route.fulfill({ contentType: "text/event-stream", body: "event: behind\ndata: -\n\n" }));
  let loads = 0;
  listened.on("load", () => (loads += 1));
  await listened.reload();
  await expect(listened.locator("#live")).toHaveText(say("receipts-lost"));
  await listened.waitForTimeout(2_000);
  expect(loads).toBe(1);
  await expect.poll(() => loads, { timeout: 20_000 }).toBe(2);
  await listened.close();
  await context.close();
});
