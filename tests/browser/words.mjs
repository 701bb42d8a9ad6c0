// The pages' own words, so that one story can be told in either language.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const locales = fileURLToPath(new URL("../../web/locales", import.meta.url));

function read(language) {
  const words = new Map();
  for (const file of readdirSync(`${locales}/${language}`)) {
    for (const line of readFileSync(`${locales}/${language}/${file}`, "utf8").split("\n")) {
      const found = line.match(/^([a-z][\w-]*) = (.+)$/);
      if (found) words.set(found[1], found[2]);
    }
  }
  return words;
}

/** The words of a language by key; with arguments put in, or as a pattern where one is left out. */
export function speaker(language) {
  const words = read(language);
  return (key, values = {}) => {
    const text = words.get(key);
    if (text === undefined) throw new Error(`there are no words under ${key} in ${language}`);
    const put = text.replace(/\{ \$(\w+) \}/g, (gap, name) => values[name] ?? gap);
    if (!put.includes("{ $")) return put;
    const parts = put.split(/\{ \$\w+ \}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(parts.join(".*"));
  };
}

export const chinese = speaker("zh-CN");
