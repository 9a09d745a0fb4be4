/**
 * Keys that stand twice in one object. A parser keeps the last and says nothing; where they are sysctls, that hides
 * what somebody meant to set.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";

/**
 * Refuses text whose object at `path` has the same key twice. Keys on the way are read without regard to case, and an
 * object that itself stands twice counts as one, as for whoever reads the config.
 *
 * @param text JSON that a parser has taken for right.
 * @throws TsnetError `invalid`.
 */
export function refuseRepeated(text: string, path: readonly string[]): void {
  const seen = new Set<string>();
  eachKey(text, (above, key) => {
    if (above.length !== path.length || above.some((name, i) => name.toLowerCase() !== path[i])) return;
    if (seen.has(key)) {
      throw new TsnetError(`duplicated sysctl keys are not allowed: ${path.join(".")} has ${key} twice`, {
        code: "invalid",
        op: "tuning config",
      });
    }
    seen.add(key);
  });
}

const STRING = /"(?:[^"\\]|\\.)*"/y;

/** Calls `found` for each key of each object, with the keys above it; a list counts as a key of its own. */
function eachKey(text: string, found: (above: readonly string[], key: string) => void): void {
  const above: string[] = [];
  // The key last read in each object that is open; undefined for a list.
  const open: (string | undefined)[] = [];
  let isKey = false;
  for (let at = 0; at < text.length; ) {
    const char = text[at];
    if (char === '"') {
      STRING.lastIndex = at;
      const string = STRING.exec(text)?.[0] ?? '"';
      at += string.length;
      if (!isKey) continue;
      const key = String(JSON.parse(string));
      found(above, key);
      open[open.length - 1] = key;
      isKey = false;
      continue;
    }
    if (char === "{" || char === "[") {
      if (open.length > 0) above.push(open.at(-1) ?? "[]");
      open.push(undefined);
      isKey = char === "{";
    } else if (char === "}" || char === "]") {
      open.pop();
      above.pop();
      isKey = false;
    } else if (char === ",") {
      // In a list the last key is undefined.
      isKey = open.at(-1) !== undefined;
    }
    at++;
  }
}
