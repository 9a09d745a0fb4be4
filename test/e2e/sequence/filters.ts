/**
 * What our rules in both packet filters say, read from their own programs' output.
 *
 * @module
 */

/** Addresses that are masqueraded, and ports as `8001 10.31.0.2:80`. */
export interface Rules {
  readonly masqueraded: readonly string[];
  readonly published: readonly string[];
}

type Value = string | number | { readonly concat?: readonly unknown[]; readonly elem?: { readonly val: Value } };

interface Listed {
  readonly nftables: readonly { readonly set?: ListedSet; readonly map?: ListedSet }[];
}

interface ListedSet {
  readonly name: string;
  readonly elem?: readonly unknown[];
}

/** From `nft -j list table inet tsnet`; empty text is no table. */
export function elementsOf(json: string): Rules {
  if (json === "") return { masqueraded: [], published: [] };
  const all = (JSON.parse(json) as Listed).nftables.flatMap(({ set, map }) => set ?? map ?? []);
  const elements = (name: string) => all.find((one) => one.name === name)?.elem ?? [];
  return {
    masqueraded: ["masquerade4", "masquerade6"].flatMap((name) => elements(name).map((one) => words(one).join(" "))),
    published: ["publish4-any", "publish6-any"].flatMap((name) => elements(name).map(published)),
  };
}

/** From lines of `iptables-save -t nat`. */
export function rulesOf(lines: readonly string[]): Rules {
  const matches = (pattern: RegExp) =>
    lines.flatMap((line) => {
      const match = pattern.exec(line);
      return match === null ? [] : [match.slice(1)];
    });
  return {
    masqueraded: matches(/^-A TSNET-MASQUERADE -s (\S+)\/32 .*-j MASQUERADE/).map(([address = ""]) => address),
    published: matches(/^-A TSNET-DNAT .*--dport (\d+) .*-j DNAT --to-destination (\S+)/).map((pair) => pair.join(" ")),
  };
}

function published(element: unknown): string {
  const [key, value] = element as readonly [Value, Value];
  const [address = "", port = ""] = words(value);
  return `${words(key)[1]} ${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** The parts of a value, be it an element with a comment, a concatenation or a word. */
function words(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [String(value)];
  const { elem, concat } = value as Exclude<Value, string | number>;
  return elem === undefined ? (concat ?? []).map(String) : words(elem.val);
}
