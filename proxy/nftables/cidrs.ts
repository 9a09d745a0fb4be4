/**
 * CIDRs as options and objects have them, made into what rules and sets take: those of one family, none within
 * another, since an interval set refuses what overlaps.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { type Cidr, networkOf, overlaps, parseCidr } from "../../lib/net/cidr.ts";

/** The networks of `family`, the widest where several overlap, in the order of the texts. */
export function cidrsOf(family: Family, texts: readonly string[]): readonly Cidr[] {
  const all = texts.map((text) => networkOf(parseCidr(text))).filter(({ address }) => address.family === family);
  return all.filter((cidr, index) =>
    all.every((other, at) => {
      if (at === index || !overlaps(cidr, other)) return true;
      // Of two that are the same the first one stays.
      return cidr.prefix < other.prefix || (cidr.prefix === other.prefix && index < at);
    }),
  );
}
