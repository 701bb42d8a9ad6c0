// The pages in a real browser: phones in WeChat and elsewhere, by day and by night. `./dev test browser` runs this.
import { defineConfig } from "@playwright/test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const port = process.env.BROWSER_PORT ?? "18080";
export const address = `http://127.0.0.1:${port}`;
/** The program under test, and the settings under which it finds the house. */
export const program = process.env.BROWSER_PROGRAM ?? `${root}/target/debug/fenqi`;
export const settings = {
  FENQI_LISTEN: `127.0.0.1:${port}`,
  FENQI_MASTER_KEY: "5e".repeat(32),
  FENQI_LOG: "warn,sqlx=warn",
  ...(process.env.BROWSER_DATABASE_URL ? { FENQI_DATABASE_URL: process.env.BROWSER_DATABASE_URL } : {}),
};

/** Nobody looks at what is left behind: no pictures are taken and no traces kept, which is a good part of the work. */
export const isUnwatched = process.env.BROWSER_UNWATCHED === "yes";

export const wechat =
  "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0 Mobile Safari/537.36 MicroMessenger/8.0.50";
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

export default defineConfig({
  testDir: ".",
  outputDir: process.env.BROWSER_OUTPUT ?? `${root}/var/test/browser/whole`,
  // One house, in which people meet: one after the other.
  workers: 1,
  // Several times what anything takes here: a slow machine, or a busy one, passes as well, and only what fails takes longer.
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  use: {
    baseURL: address,
    locale: "zh-CN",
    timezoneId: "Asia/Shanghai",
    // What cannot be clicked is told at once, not when the whole test has run out of time.
    actionTimeout: 60_000,
    screenshot: "only-on-failure",
    trace: isUnwatched ? "off" : "retain-on-failure",
    launchOptions: {
      executablePath: process.env.BROWSER_CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
  projects: [
    { name: "plain", use: { ...phone }, testIgnore: /.*\.wechat\.spec\.mjs/ },
    { name: "wechat", use: { ...phone, userAgent: wechat }, testMatch: /.*\.wechat\.spec\.mjs/ },
  ],
  webServer: {
    command: `exec "${program}" demo --days ${process.env.BROWSER_DAYS ?? "40"}`,
    cwd: root,
    url: `${address}/readyz`,
    timeout: 300_000,
    stdout: "pipe",
    env: settings,
  },
});
