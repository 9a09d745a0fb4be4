/**
 * What a peer needs in the kernel. Pure: from our spec, the peer's lease and the way there to entries.
 *
 * By VXLAN: the neighbour that its subnet's first address is, at its VTEP's MAC; where that MAC is on the underlay;
 * and the route to the subnet, which names that first address as a gateway on the device. Without: one route.
 *
 * @module
 */
import { type Address, type Family, formatAddress } from "../../lib/net/address.ts";
import { firstOf } from "../../lib/net/cidr.ts";
import { RTN_BLACKHOLE, RTPROT_TSNET } from "../../lib/netlink/constants.ts";
import { FAMILIES } from "../parts.ts";
import type { Lease, LeasePart, Parts } from "../types.ts";
import { type Entry, fdbLine, neighbourEntry, routeEntry } from "./entry.ts";
import type { FabricSpec, Way } from "./fabric.ts";

// Behind the route of any bridge, which has a metric of 0 or 256.
const BLACKHOLE_METRIC = 0x7fffffff;

/** A device that is there. */
export interface DeviceRef {
  readonly index: number;
  readonly name: string;
}

/** Where the kernel sends packets for an address of the underlay; undefined: nowhere. */
export interface Hop {
  readonly dev: number;
  readonly name: string;
  readonly gateway: Address | undefined;
}

export interface PeerPlan {
  readonly entries: readonly Entry[];
  readonly ways: Parts<Way>;
}

/** The hop to an address of the underlay. Asked only where the answer matters. */
export type HopTo = (address: Address) => Hop | undefined;

interface PartPlan {
  readonly entries: readonly Entry[];
  readonly way: Way;
}

/** What `peer` needs, in the families that it and we have. */
export function planPeer(spec: FabricSpec, devices: Parts<DeviceRef>, peer: Lease, hopTo: HopTo): PeerPlan {
  let entries: readonly Entry[] = [];
  const ways: { -readonly [F in Family]?: Way } = {};
  const strange = strangeness(spec, peer);
  for (const family of FAMILIES) {
    const part = peer.parts[family];
    if (part === undefined || spec.own[family] === undefined) continue;
    const plan = strange === undefined ? planPart(spec, devices[family], part, hopTo) : none(strange);
    entries = entries.length === 0 ? plan.entries : [...entries, ...plan.entries];
    ways[family] = plan.way;
  }
  return { entries, ways };
}

/** Ours alone: the blackhole that keeps packets for absent containers from going out again. */
export function planOwn(spec: FabricSpec): readonly Entry[] {
  if (!spec.blackholeRoute) return [];
  return FAMILIES.flatMap((family) => {
    const own = spec.own[family];
    if (own === undefined) return [];
    const priority = BLACKHOLE_METRIC;
    return [routeEntry({ dst: own.subnet, type: RTN_BLACKHOLE, protocol: RTPROT_TSNET, priority })];
  });
}

/** Whether where the peer is on the underlay decides how it is reached. */
export function needsHop(spec: FabricSpec): boolean {
  return spec.backend.type === "host-gw" || spec.backend.directRouting;
}

function strangeness(spec: FabricSpec, peer: Lease): string | undefined {
  const { backend } = spec;
  if (peer.backend !== backend.type) return `its backend is ${peer.backend}, ours ${backend.type}`;
  if (backend.type === "vxlan" && peer.vni !== undefined && peer.vni !== backend.vni) {
    return `its VNI is ${peer.vni}, ours ${backend.vni}`;
  }
  return undefined;
}

function planPart(spec: FabricSpec, device: DeviceRef | undefined, part: LeasePart, hopTo: HopTo): PartPlan {
  if (spec.backend.type === "host-gw") return planRouted(part, hopTo(part.address));
  if (spec.backend.directRouting) {
    const hop = hopTo(part.address);
    if (hop !== undefined && hop.gateway === undefined && hop.dev === spec.underlay.index) return planRouted(part, hop);
  }
  if (device === undefined) return none("the VXLAN device is not there");
  if (part.mac === undefined) return none("its lease has no VTEP MAC");
  return planTunnelled(device, part, part.mac.toLowerCase());
}

function planTunnelled(device: DeviceRef, { subnet, address }: LeasePart, mac: string): PartPlan {
  const { index } = device;
  const gateway = firstOf(subnet);
  return {
    entries: [
      neighbourEntry({ index, address: gateway, mac, permanent: true }),
      fdbLine({ index, mac, dst: address }),
      routeEntry({ dst: subnet, gateway, dev: index, onlink: true, protocol: RTPROT_TSNET }),
    ],
    way: { kind: "vxlan", device: device.name },
  };
}

function planRouted({ subnet, address }: LeasePart, hop: Hop | undefined): PartPlan {
  if (hop === undefined) return none(`no route to ${formatAddress(address)}`);
  const { dev, name: device } = hop;
  const gateway = hop.gateway ?? address;
  return {
    entries: [routeEntry({ dst: subnet, gateway, dev, protocol: RTPROT_TSNET })],
    way:
      hop.gateway === undefined
        ? { kind: "direct", device }
        : { kind: "router", device, gateway: formatAddress(hop.gateway) },
  };
}

function none(reason: string): PartPlan {
  return { entries: [], way: { kind: "none", reason } };
}
