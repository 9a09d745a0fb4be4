/**
 * Where clients knock: the addresses and node ports of one service port, in one family.
 *
 * @module
 */
import { type Address, type Family, parseAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, formatCidr, parseCidr, sameCidr } from "../../lib/net/cidr.ts";
import type { Protocol, ServiceBody, ServicePortObject } from "../objects/objects.ts";
import type { Frontend } from "./types.ts";

/**
 * The frontends of `port` in the order of their weight, the cluster IP first; none if the service has no cluster IP of this
 * family. Of one address that stands in two places the one with source ranges counts, so that nobody gets round them.
 *
 * @param nodeAddresses are the node's own, in text.
 */
export function frontendsOf(
  service: ServiceBody,
  port: ServicePortObject,
  family: Family,
  nodeAddresses: readonly string[],
): readonly Frontend[] {
  const clusterIP = service.clusterIPs.find((address) => isOf(address, family));
  if (clusterIP === undefined) return [];
  const first = frontend("clusterIP", clusterIP, port.port, service.internalPolicy, undefined);
  const { loadBalancerIPs, externalIPs } = service;
  if (loadBalancerIPs.length === 0 && externalIPs.length === 0 && port.nodePort === undefined) return [first];
  const frontends = [first];
  const add = (kind: Frontend["kind"], address: string, number: number, sourceRanges?: readonly string[]) => {
    if (!frontends.some((other) => other.address === address)) {
      frontends.push(frontend(kind, address, number, service.externalPolicy, sourceRanges));
    }
  };
  for (const address of loadBalancerIPs) {
    if (isOf(address, family)) {
      add("loadBalancer", address, port.port, sourceRangesOf(service.sourceRanges, address, nodeAddresses));
    }
  }
  for (const address of externalIPs) {
    if (isOf(address, family)) add("externalIP", address, port.port);
  }
  if (port.nodePort !== undefined) add("nodePort", "", port.nodePort);
  return frontends;
}

/** What no two frontends of a family have in common; a node port and an address never collide. */
export function frontendKey(protocol: Protocol, { address, port }: Frontend): string {
  return `${address} ${protocol} ${port}`;
}

/** The same as an operator would say it: `203.0.113.7 port 80/tcp`. */
export function describeKey(key: string): string {
  const [address, protocol, port] = key.split(" ");
  return `${address === "" ? "node" : address} port ${port}/${protocol}`;
}

function frontend(
  kind: Frontend["kind"],
  address: string,
  port: number,
  policy: Frontend["policy"],
  sourceRanges: readonly string[] | undefined,
): Frontend {
  return { kind, address, port, policy, sourceRanges };
}

/**
 * The ranges of the family of `vip`, none of them inside another; undefined if they let everybody in. A load
 * balancer's address is often put on the node as well, and what the node sends there comes from that address: so it
 * is let in where the node is.
 */
function sourceRangesOf(
  ranges: readonly string[],
  vip: string,
  nodeAddresses: readonly string[],
): readonly string[] | undefined {
  if (ranges.length === 0) return undefined;
  const { family } = parseAddress(vip);
  const cidrs = ranges.map(parseCidr).filter(({ address }) => address.family === family);
  if (cidrs.length === 0 || cidrs.some(({ prefix }) => prefix === 0)) return undefined;
  const holdsNode = nodeAddresses.map(parseAddress).some((node) => cidrs.some((cidr) => contains(cidr, node)));
  const all = holdsNode ? [...cidrs, hostCidr(parseAddress(vip))] : cidrs;
  return all.filter((cidr, i) => !all.some((other, j) => covers(other, cidr, j < i))).map(formatCidr);
}

/** Whether `other` makes `cidr` needless; of two that are the same only the `earlier` one does. */
function covers(other: Cidr, cidr: Cidr, earlier: boolean): boolean {
  if (sameCidr(other, cidr)) return earlier;
  return other.prefix < cidr.prefix && contains(other, cidr.address);
}

function hostCidr(address: Address): Cidr {
  return { address, prefix: address.family === 4 ? 32 : 128 };
}

function isOf(address: string, family: Family): boolean {
  return address.includes(":") === (family === 6);
}
