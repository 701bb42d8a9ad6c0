// The addresses of pages, as the program itself lists them.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = readFileSync(fileURLToPath(new URL("../../src/router.rs", import.meta.url)), "utf8");
const asked = [...source.matchAll(/\.route\("([^"]+)", get\(([\w:]+)\)/g)];

/** What is asked for by GET and is no page: files, streams, measurements, and addresses that only lead elsewhere. */
const noPages = /^\/(assets|healthz|readyz|metrics|api)\b|\/(events|table|statement)$|\.svg$|^\/sign-in\/wechat$/;

/** Patterns such as `/loans/{loan}/payoff`, those with fewer gaps first. */
export const pages = asked
  .filter(([, path, handler]) => !noPages.test(path) && !handler.endsWith("::to_step"))
  .map(([, path]) => path)
  .sort((one, other) => one.split("{").length - other.split("{").length);

const matchers = pages.map((path) => [path, new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`)]);

/** The pattern that a path belongs to, if it is a page's. */
export const patternOf = (path) => matchers.find(([, matcher]) => matcher.test(path))?.[0];
