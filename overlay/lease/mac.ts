/**
 * MAC addresses of VTEPs: what one may be, and what one is that nobody has written down.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { TsnetError } from "../../lib/errors.ts";
import { type Cidr, formatCidr } from "../../lib/net/cidr.ts";
import { formatMac, macNumber, parseMac } from "../../lib/net/mac.ts";

/**
 * The MAC of the host that has `subnet`, where the list of hosts names none: every host computes the same, and two
 * subnets of a network have two.
 */
export function derivedMac(vni: number, subnet: Cidr): string {
  const digest = createHash("sha256")
    .update(`${vni} ${formatCidr(subnet)}`)
    .digest();
  return formatMac(locallyAdministered(digest.subarray(0, 6)));
}

/**
 * Reads the MAC of a VTEP, into lower case with colons.
 *
 * @throws TsnetError `invalid` for what is none, for a group's, and for all zeros: none of these ever has a packet
 * delivered to it.
 */
export function parseVtepMac(text: string): string {
  const number = macNumber(text);
  if (Math.floor(number / 2 ** 40) % 2 === 1) {
    throw new TsnetError(`${text} is the MAC of a group, not of one device`, { code: "invalid" });
  }
  if (number === 0) throw new TsnetError(`${text} is no device's MAC`, { code: "invalid" });
  // As a rule it is written so already.
  return text[2] === ":" ? text.toLowerCase() : formatMac(parseMac(text));
}

/** IEEE 802, section 8.2: bit 1 of the first byte says that nobody assigned it, bit 0 that it is a group's. */
function locallyAdministered(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => (i === 0 ? (byte & 0xfc) | 2 : byte));
}
