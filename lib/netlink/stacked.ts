/**
 * The kinds of links that stand on another one, their master: macvlan, ipvlan and vlan. `LinkSpec.link` names the
 * master when one is made.
 *
 * @module
 */
import { getU16, getU32, putU16, putU32, type StreamData } from "netlink/dist/structs";
import { toBuffer } from "./bytes.ts";
import type { LinkKind } from "./kinds.ts";
import type { Link } from "./link.ts";

// linux/if_link.h
const IFLA_MACVLAN_MODE = 1;
const IFLA_MACVLAN_BC_QUEUE_LEN = 7;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
const IFLA_VLAN_ID = 1;
const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;

/** Who of one master's macvlans reaches whom. */
export type MacvlanMode = keyof typeof MACVLAN_MODES;
/** Which layer an ipvlan works on; `l3s` is l3 with the host's packet filter in between. */
export type IpvlanMode = keyof typeof IPVLAN_MODES;

export interface MacvlanSettings {
  readonly mode: MacvlanMode;
  /** Packets; how many broadcasts may wait. The kernel's default is 1000. */
  readonly broadcastQueue?: number;
}

/** `ip link add link MASTER ... type macvlan mode MODE [bcqueuelen N]`. */
export function macvlan({ mode, broadcastQueue }: MacvlanSettings): LinkKind {
  const data: StreamData = (out) => {
    out.push(IFLA_MACVLAN_MODE, putU32(MACVLAN_MODES[mode]));
    if (broadcastQueue !== undefined) out.push(IFLA_MACVLAN_BC_QUEUE_LEN, putU32(broadcastQueue));
  };
  return { kind: "macvlan", data: toBuffer(data) };
}

/** How a macvlan is set; undefined for other links. A mode that we do not make is given as its number. */
export function macvlanOf(link: Link): { readonly mode: string; readonly broadcastQueue: number } | undefined {
  if (link.kind !== "macvlan") return undefined;
  const number = (type: number) => getU32(link.data.get(type) ?? Buffer.alloc(4));
  return { mode: nameIn(MACVLAN_MODES, number(IFLA_MACVLAN_MODE)), broadcastQueue: number(IFLA_MACVLAN_BC_QUEUE_LEN) };
}

/** `ip link add link MASTER ... type ipvlan mode MODE`. */
export function ipvlan(mode: IpvlanMode): LinkKind {
  const data: StreamData = (out) => {
    out.push(IFLA_IPVLAN_MODE, putU16(IPVLAN_MODES[mode]));
    // Neither private nor vepa: iproute2 says so, too.
    out.push(IFLA_IPVLAN_FLAGS, putU16(0));
  };
  return { kind: "ipvlan", data: toBuffer(data) };
}

/** The mode of an ipvlan; undefined for other links. */
export function ipvlanModeOf(link: Link): string | undefined {
  if (link.kind !== "ipvlan") return undefined;
  return nameIn(IPVLAN_MODES, getU16(link.data.get(IFLA_IPVLAN_MODE) ?? Buffer.alloc(2)));
}

/** `ip link add link MASTER ... type vlan id ID`; `id` is 0 to 4094. */
export function vlan(id: number): LinkKind {
  return { kind: "vlan", data: toBuffer((out) => out.push(IFLA_VLAN_ID, putU16(id))) };
}

/** The id of a VLAN's link; undefined for other links. */
export function vlanIdOf(link: Link): number | undefined {
  return link.kind === "vlan" ? getU16(link.data.get(IFLA_VLAN_ID) ?? Buffer.alloc(2)) : undefined;
}

function nameIn(names: Readonly<Record<string, number>>, number: number): string {
  return Object.entries(names).find(([, each]) => each === number)?.[0] ?? String(number);
}
