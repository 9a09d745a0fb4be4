/**
 * Reads what iptables-save prints.
 *
 * @module
 */
import type { SavedChain, SavedRule, SavedTable } from "./iptables.ts";

/** The tables in an iptables-save, by name. Counters, dates and remarks are left out. */
export function parseSave(text: string): ReadonlyMap<string, SavedTable> {
  const tables = new Map<string, SavedTable>();
  let chains = new Map<string, SavedChain & { rules: SavedRule[] }>();
  for (const line of text.split("\n")) {
    const first = line[0];
    if (first === "*") {
      chains = new Map();
      tables.set(line.slice(1), { table: line.slice(1), chains });
    } else if (first === ":") {
      const [chain = "", policy = "-"] = line.slice(1).split(" ");
      chains.set(chain, { chain, rules: [], ...(policy === "-" ? {} : { policy }) });
    } else if (line.startsWith("-A ")) {
      const end = line.indexOf(" ", 3);
      const chain = end < 0 ? line.slice(3) : line.slice(3, end);
      chains.get(chain)?.rules.push(parseRule(end < 0 ? "" : line.slice(end + 1)));
    }
  }
  return tables;
}

/** The words of a rule; a quoted word may hold spaces, and `\"` and `\\`. */
export function wordsOf(text: string): readonly string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|\S+/g)].map(([word, quoted]) =>
    quoted === undefined ? word : quoted.replace(/\\(.)/g, "$1"),
  );
}

function parseRule(text: string): SavedRule {
  const words = wordsOf(text);
  const at = words.indexOf("--comment");
  const comment = at < 0 ? undefined : words[at + 1];
  return { text, words, ...(comment === undefined ? {} : { comment }) };
}
