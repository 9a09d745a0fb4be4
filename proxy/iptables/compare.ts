/**
 * Whether two rules say the same, however their iptables prints them: 1.8.9 and 1.8.11, nft and legacy differ in the
 * order of matches, in quotes and in digits.
 *
 * @module
 */
import { wordsOf } from "../../lib/iptables/save.ts";

export function sameRule(a: string, b: string): boolean {
  return a === b || normalRule(a) === normalRule(b);
}

/** The options with what belongs to each, in a fixed order; modules are not named, as their options tell. */
export function normalRule(text: string): string {
  const options: string[] = [];
  let target: string[] | undefined;
  let negated = false;
  for (const word of wordsOf(text)) {
    if (target !== undefined) target.push(word);
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
  return /^\d+\.\d+$/.test(word) ? Number(word).toFixed(8) : word;
}
