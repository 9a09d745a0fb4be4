/**
 * Addresses: `ip address`.
 *
 * @module
 */
import { formatAddress, formatAddressAttrs, parseAddressFlags } from "netlink/dist/rt/gen_structs";
import { getU32, putU32, type StreamData } from "netlink/dist/structs";
import { addressBytes, addressFromBytes, type Family } from "../net/address.ts";
import { type Cidr, formatCidr, lastOf } from "../net/cidr.ts";
import { attributeMap } from "./bytes.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR } from "./constants.ts";
import { familyNumber } from "./family.ts";
import type { RtSocket } from "./socket.ts";

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_NOPREFIXROUTE = 0x200;

/** An address on a link, as the kernel shows it. */
export interface Addr {
  readonly index: number;
  /** With its host bits: `10.1.0.5/24`. */
  readonly cidr: Cidr;
  /** `RT_SCOPE_*`: 0 global, 253 link, 254 host. */
  readonly scope: number;
  /** IPv6 only: duplicate address detection is not over, or found a duplicate. */
  readonly tentative: boolean;
  readonly dadFailed: boolean;
  /** No connection shall begin from it any more. */
  readonly deprecated: boolean;
  /** IPv4: one more of the same network; IPv6: temporary, for privacy. */
  readonly secondary: boolean;
}

/** An address to put on a link. */
export interface AddrSpec {
  readonly index: number;
  readonly cidr: Cidr;
  /** IPv6: skip duplicate address detection, for addresses that are ours to give. */
  readonly noDad?: boolean;
  /** Without the route to its network. */
  readonly noPrefixRoute?: boolean;
}

/** `ip address add CIDR dev INDEX`; false if the link has it already. */
export function addrAdd(socket: RtSocket, spec: AddrSpec): boolean {
  const what = `add address ${formatCidr(spec.cidr)}`;
  return socket.change({ type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, body: bodyOf(spec), what }, "EEXIST");
}

/** `ip address replace CIDR dev INDEX`. */
export function addrReplace(socket: RtSocket, spec: AddrSpec): void {
  const what = `replace address ${formatCidr(spec.cidr)}`;
  socket.change({ type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_REPLACE, body: bodyOf(spec), what });
}

/** `ip address del CIDR dev INDEX`; false if it was not there. */
export function addrDel(socket: RtSocket, index: number, cidr: Cidr): boolean {
  const what = `delete address ${formatCidr(cidr)}`;
  return socket.change({ type: RTM_DELADDR, body: bodyOf({ index, cidr }), what }, "EADDRNOTAVAIL", "ENODEV");
}

/**
 * `ip [-4|-6] address show [dev INDEX]`. The link is picked out here: a dump that the kernel filters by link does
 * not say when a change interrupted it (inet_dump_ifaddr of Linux 6.18).
 */
export function addrList(
  socket: RtSocket,
  filter: { readonly index?: number; readonly family?: Family } = {},
): readonly Addr[] {
  const family = familyNumber(filter.family);
  const all = socket
    .dump({ type: RTM_GETADDR, body: formatAddress({ family }), what: "list addresses" })
    .map(parseAddr);
  return filter.index === undefined ? all : all.filter((addr) => addr.index === filter.index);
}

function bodyOf(spec: AddrSpec): StreamData {
  const { address, prefix } = spec.cidr;
  const bytes = Buffer.from(addressBytes(address));
  const flags =
    (spec.noDad === true && address.family === 6 ? IFA_F_NODAD : 0) |
    (spec.noPrefixRoute === true ? IFA_F_NOPREFIXROUTE : 0);
  return (out) => {
    out.emit(formatAddress({ family: familyNumber(address.family), prefixlen: prefix, index: spec.index }));
    out.emit(formatAddressAttrs({ address: bytes, local: bytes }));
    // As the reference plugins and iproute2's `brd +` do; a /31 and a /32 have none.
    if (address.family === 4 && prefix < 31) out.push(IFA_BROADCAST, Buffer.from(addressBytes(lastOf(spec.cidr))));
    if (flags !== 0) out.push(IFA_FLAGS, putU32(flags));
  };
}

/** Reads a message about an address, an answer or an event. */
export function parseAddr(payload: Buffer): Addr {
  const all = attributeMap(payload.subarray(8));
  const wide = all.get(IFA_FLAGS);
  const flags = parseAddressFlags(wide === undefined ? payload.readUInt8(2) : getU32(wide));
  return {
    index: payload.readUInt32LE(4),
    cidr: {
      address: addressFromBytes(all.get(IFA_LOCAL) ?? all.get(IFA_ADDRESS) ?? Buffer.alloc(4)),
      prefix: payload.readUInt8(1),
    },
    scope: payload.readUInt8(3),
    tentative: flags.tentative === true,
    dadFailed: flags.dadfailed === true,
    deprecated: flags.deprecated === true,
    secondary: flags.secondary === true,
  };
}
