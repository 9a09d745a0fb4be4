/**
 * Regular expressions as the reference plugin reads them (RE2, as in Go), for the engine that we have. Where the two
 * mean different things, a pattern is rewritten or refused: an allow list must not let through more than it says.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";

/**
 * The pattern of a line of `file`.
 *
 * @throws TsnetError `invalid`, naming both.
 */
export function parsePattern(line: string, file: string): RegExp {
  try {
    const insensitive = line.startsWith("(?i)");
    return new RegExp(translate(insensitive ? line.slice(4) : line), insensitive ? "iu" : "u");
  } catch (cause) {
    throw new TsnetError(`${file}: ${JSON.stringify(line)} is no regular expression: ${messageOf(cause)}`, {
      code: "invalid",
      op: "read allow list",
      cause,
    });
  }
}

// What stands for several characters or means something else here, in the order in which it is looked for.
const QUOTED = /\\Q([\s\S]*?)(?:\\E|$)/y;
const ESCAPED = /\\([\s\S])/y;
const CLASS = /\[\^?\]?/y;
const NAMED_GROUP = /\(\?P</y;
const OTHER_GROUP = /\(\?(?![:<])|\(\?<[=!]/y;
const NAMED_CLASS = /\[:(\w+):\]/y;

function translate(text: string): string {
  let out = "";
  let inClass = false;
  for (let at = 0; at < text.length; ) {
    const next = (pattern: RegExp) => {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match !== null) at += match[0].length;
      return match;
    };
    const [, quoted] = (inClass ? null : next(QUOTED)) ?? [];
    const [, escaped] = quoted === undefined ? (next(ESCAPED) ?? []) : [];
    if (quoted !== undefined) {
      out += quoted.replace(/[\^$\\.*+?()[\]{}|/]/g, "\\$&");
    } else if (escaped !== undefined) {
      out += afterBackslash(escaped, inClass);
    } else if (inClass) {
      const named = next(NAMED_CLASS);
      const char = text[at] ?? "";
      out += named === null ? (char === "[" ? "\\[" : char) : classOf(named[1] ?? "");
      if (named === null) at++;
      if (named === null && char === "]") inClass = false;
    } else if (next(NAMED_GROUP) !== null) {
      out += "(?<";
    } else if (next(OTHER_GROUP) !== null) {
      throw new Error("of groups that begin with (? only (?: and (?P<name> are known, and (?i) in front");
    } else {
      // Of RE2, "]" is no end where it comes first.
      const opened = next(CLASS)?.[0];
      inClass = opened !== undefined;
      out += opened?.replace("]", "\\]") ?? text[at++];
    }
  }
  return out;
}

/** What a backslash makes of a character; the engine refuses the rest of what it does not know. */
function afterBackslash(char: string, inClass: boolean): string {
  if (char === "A" && !inClass) return "^";
  if (char === "z" && !inClass) return "$";
  if (/[dDwWsSnrtfvxpP]/.test(char) || (/[bB]/.test(char) && !inClass)) return `\\${char}`;
  if (/[0-9A-Za-z]/.test(char)) throw new Error(`\\${char} is not supported`);
  return /[\^$\\.*+?()[\]{}|/]/.test(char) || (char === "-" && inClass) ? `\\${char}` : char;
}

// RE2's names for ASCII classes, written out.
const CLASSES: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  digit: "0-9",
  lower: "a-z",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
};

function classOf(name: string): string {
  const members = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  if (members === undefined) throw new Error(`[:${name}:] is not supported`);
  return members;
}
