/**
 * Choosing a subnet that nothing on the host has, as Docker chooses docker0's; and saying why one that the file
 * names cannot be had. Pure: what the host has is handed in.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { parseAddress } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, overlaps } from "../../lib/net/cidr.ts";

/** Something that has addresses: a route, a resolver, a network that is down. */
export interface Taken {
  readonly cidr: Cidr;
  /** What it is, for messages: `route 10.0.0.0/8 dev eth0`. */
  readonly what: string;
  /** Whether a more specific subnet within it would do no harm: a route by way of a gateway. */
  readonly yields: boolean;
}

/** The first private IPv4 subnet that overlaps with nothing taken. @throws TsnetError `exhausted`. */
export function chooseSubnet(taken: readonly Taken[]): Cidr {
  const free = candidates().find((candidate) => !taken.some(({ cidr }) => isInTheWay(cidr, candidate)));
  if (free !== undefined) return free;
  throw new TsnetError("no private IPv4 subnet is free on this host: give the network a subnet in the file", {
    code: "exhausted",
    op: "choose subnet",
  });
}

/**
 * A unique local IPv6 subnet (RFC 4193) that overlaps with nothing taken. The same `seed` comes to the same one as
 * long as nothing else takes it.
 */
export function chooseIpv6Subnet(seed: string, taken: readonly Taken[]): Cidr {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const digits = new Bun.CryptoHasher("sha256").update(`${seed} ${attempt}`).digest("hex");
    const value = (0xfdn << 120n) | (BigInt(`0x${digits.slice(0, 14)}`) << 64n);
    const candidate: Cidr = { address: { family: 6, value }, prefix: 64 };
    if (!taken.some(({ cidr }) => isInTheWay(cidr, candidate))) return candidate;
  }
  throw new TsnetError(
    "no unique local IPv6 subnet is free on this host: give the network an ipv6 subnet in the file",
    {
      code: "exhausted",
      op: "choose subnet",
    },
  );
}

/** What the host has that keeps it from having `subnet`, or undefined. */
export function conflictOf(subnet: Cidr, taken: readonly Taken[]): Taken | undefined {
  return taken.find(({ cidr, yields }) => isInTheWay(cidr, subnet) && !(yields && isWider(cidr, subnet)));
}

/** Docker's own pools in their order, then what it leaves alone. */
function candidates(): readonly Cidr[] {
  const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, at) => from + at);
  return [
    ...numbers(15, 17).map((second) => cidr(`172.${second}.0.0`, 16)),
    ...numbers(16).map((third) => cidr(`192.168.${third * 16}.0`, 20)),
    ...numbers(256).map((second) => cidr(`10.${second}.0.0`, 16)),
  ];
}

function cidr(address: string, prefix: number): Cidr {
  return { address: parseAddress(address), prefix };
}

/** A default route, also one that a VPN made of two halves, is in nobody's way. */
function isInTheWay(there: Cidr, candidate: Cidr): boolean {
  return there.prefix > 1 && overlaps(there, candidate);
}

function isWider(there: Cidr, subnet: Cidr): boolean {
  return there.prefix < subnet.prefix;
}

/** `10.0.0.0/8 (route 10.0.0.0/8 dev eth0)`, for messages. */
export function describeTaken({ cidr: there, what }: Taken): string {
  return what.includes(formatCidr(there)) ? what : `${what} (${formatCidr(there)})`;
}
