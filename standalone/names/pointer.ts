/**
 * Addresses turned round, by which the name of an address is asked for: RFC 1035 section 3.5, RFC 3596 section 2.5.
 *
 * @module
 */
import { type Address, addressFromBytes } from "../../lib/net/address.ts";

/** The address of `2.1.88.10.in-addr.arpa` in small letters; undefined if it is none, or a part of one. */
export function parsePointer(name: string): Address | undefined {
  const four = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name)?.[1];
  if (four !== undefined) {
    const bytes = four.slice(0, -1).split(".").map(Number).reverse();
    return bytes.every((byte) => byte < 256) ? addressFromBytes(Uint8Array.from(bytes)) : undefined;
  }
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (six === undefined) return undefined;
  return addressFromBytes(Buffer.from(six.slice(0, -1).split(".").reverse().join(""), "hex"));
}
