/**
 * Whether two rules say the same, however their iptables prints them: 1.8.9 and 1.8.11, nft and legacy differ in the
 * order of matches, in quotes and in digits.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { wordsOf } from "../../lib/iptables/save.ts";
import { formatAddress, parseAddress } from "../../lib/net/address.ts";

export function sameRule(a: string, b: string): boolean {
  return a === b || normalRule(a) === normalRule(b);
}

/** The options with what belongs to each, in a fixed order; modules are not named, as their options tell. */
export function normalRule(text: string): string {
  const options: string[] = [];
  let target: string[] | undefined;
  let negated = false;
  for (const word of wordsOf(text)) {
    if (target !== undefined) target.push(normalWord(word));
    else if (word === "-j" || word === "-g") target = [word];
    else if (word === "!") negated = true;
    else if (word.startsWith("-")) {
      options.push(negated ? `! ${word}` : word);
      negated = false;
    } else options[options.length - 1] += ` ${normalWord(word)}`;
  }
  const kept = options.filter((option) => !option.startsWith("-m "));
  return [...kept.sort(), ...(target ?? [])].join(" ");
}

function normalWord(word: string): string {
  if (/^\d+\.\d+$/.test(word)) return Number(word).toFixed(8);
  // RFC 5952 and the C library differ in what they write dotted.
  const [, before = "", address, behind = ""] = /^(\[?)([\da-fA-F:.]*:[\da-fA-F:.]*)(\]:\d+|\/\d+)?$/.exec(word) ?? [];
  if (address === undefined) return word;
  try {
    return `${before}${formatAddress(parseAddress(address))}${behind}`;
  } catch (error) {
    // Ports, `1024:2047`, look alike.
    if (isTsnetError(error, "invalid")) return word;
    throw error;
  }
}
