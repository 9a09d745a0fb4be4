/**
 * A publish wish as single redirections: what both engines write rules for.
 *
 * @module
 */
import { type Address, bitsOf, type Family, formatAddress } from "../net/address.ts";
import { type Cidr, formatCidr, networkOf } from "../net/cidr.ts";
import { collide, type HeldPort } from "./record.ts";
import type { Protocol, PublishWish } from "./types.ts";

/** One port of the host to one port of the container, in one family; addresses as canonical text. */
export interface Redirect {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly hostPort: number;
  /** Absent: any address of the host. */
  readonly hostIp?: string;
  readonly target: string;
  readonly targetPort: number;
  /** Where connections come from that are masqueraded: the container's subnet `10.1.0.0/24` and `127.0.0.0/8`, or all. */
  readonly masqueraded: readonly string[];
}

/**
 * The redirections that a wish stands for. A mapping without a host address, or with an unspecified one, holds
 * for each family that the container has an address of; one of the other family is left out, and so is [::1],
 * which the kernel does not route. What the container publishes by another interface already stays there.
 */
export function redirectsOf(wish: PublishWish): readonly Redirect[] {
  const redirects = new Map<string, Redirect>();
  for (const family of [4, 6] as const) {
    const address = wish.addresses.find((cidr) => cidr.address.family === family);
    if (address === undefined) continue;
    for (const mapping of wish.mappings) {
      const { protocol, hostPort, hostIp } = mapping;
      if (hostIp !== undefined && (hostIp.family !== family || isLoopback6(hostIp))) continue;
      const bound = hostIp === undefined || hostIp.value === 0n ? {} : { hostIp: formatAddress(hostIp) };
      const redirect: Redirect = {
        family,
        protocol,
        hostPort,
        ...bound,
        target: formatAddress(address.address),
        targetPort: mapping.containerPort,
        masqueraded: masqueradedSources(wish, address),
      };
      if (wish.elsewhere?.some((held) => collide(held, heldPort(redirect)))) continue;
      redirects.set(`${family} ${protocol} ${hostPort} ${redirect.hostIp} ${redirect.targetPort}`, redirect);
    }
  }
  return [...redirects.values()];
}

/** The host ports of redirections. */
export function heldPorts(redirects: readonly Redirect[]): readonly HeldPort[] {
  return redirects.map(heldPort);
}

function heldPort({ family, protocol, hostPort, hostIp }: Redirect): HeldPort {
  return { family, protocol, port: hostPort, ...(hostIp === undefined ? {} : { hostIp }) };
}

/** `10.1.0.5`, or with a prefix that is not the whole address `10.1.0.0/24`, as the filters print them. */
export function subnetText(cidr: Cidr): string {
  return cidr.prefix === bitsOf(cidr.address.family) ? formatAddress(cidr.address) : formatCidr(networkOf(cidr));
}

/**
 * From the container's own subnet an answer would go straight back, past the translation; 127.0.0.1 means
 * something else in the container. Both fail unless they come with the host's address.
 */
function masqueradedSources(wish: PublishWish, address: Cidr): readonly string[] {
  if (!wish.snat) return [];
  const { family } = address.address;
  if (wish.masqAll) return [family === 4 ? "0.0.0.0/0" : "::/0"];
  return family === 4 ? [subnetText(address), "127.0.0.0/8"] : [subnetText(address)];
}

function isLoopback6({ family, value }: Address): boolean {
  return family === 6 && value === 1n;
}
