/**
 * The keys under which flannel keeps subnets in etcd: `10.1.2.0-24`, with IPv6 beside it `10.1.2.0-24&fd00:1:2::-64`.
 *
 * A host of IPv6 alone has `0.0.0.0-0` in the place of its IPv4 subnet, since flannel's reader wants one there.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, networkOf, parseCidr, sameCidr } from "../../lib/net/cidr.ts";
import type { Parts } from "../types.ts";

const NO_IPV4 = "0.0.0.0-0";
const KEY = /^([\d.]+)-(\d+)(?:&([\da-fA-F:.]+)-(\d+))?$/;

/** The last part of the key of a host that has these subnets. */
export function subnetKey(subnets: Parts<Cidr>): string {
  const [four, six] = [subnets[4], subnets[6]].map((cidr) => (cidr === undefined ? undefined : dashed(cidr)));
  return six === undefined ? (four ?? NO_IPV4) : `${four ?? NO_IPV4}&${six}`;
}

/** Reads the last part of a key. @throws TsnetError `invalid`, also for a subnet with host bits. */
export function parseSubnetKey(key: string): Parts<Cidr> {
  const [, four, length4, six, length6] = KEY.exec(key) ?? [];
  if (four === undefined || length4 === undefined) {
    throw new TsnetError(`${JSON.stringify(key)} is no subnet's key, as 10.1.2.0-24 is`, { code: "invalid" });
  }
  const withIPv4 = `${four}-${length4}` !== NO_IPV4;
  if (!withIPv4 && six === undefined) throw new TsnetError(`${key} names no subnet`, { code: "invalid" });
  return {
    ...(withIPv4 ? { 4: subnet(`${four}/${length4}`) } : {}),
    ...(six === undefined ? {} : { 6: subnet(`${six}/${length6}`) }),
  };
}

function dashed(cidr: Cidr): string {
  return `${formatAddress(cidr.address)}-${cidr.prefix}`;
}

function subnet(text: string): Cidr {
  const cidr = parseCidr(text);
  if (sameCidr(cidr, networkOf(cidr))) return cidr;
  throw new TsnetError(`${text} has host bits: the subnet is ${formatCidr(networkOf(cidr))}`, { code: "invalid" });
}
