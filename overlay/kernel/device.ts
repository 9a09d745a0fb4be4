/**
 * What VXLAN devices this host needs and what fits through them. Pure: the kernel comes in make.ts.
 *
 * One device a family, as flannel has it: pods' IPv4 over the underlay's IPv4, pods' IPv6 over its IPv6.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { type Address, bitsOf, type Family } from "../../lib/net/address.ts";
import { type Cidr, firstOf } from "../../lib/net/cidr.ts";
import { FAMILIES } from "../parts.ts";
import type { Backend, Parts, VxlanBackend } from "../types.ts";
import type { FabricSpec } from "./fabric.ts";

/** A VXLAN device as it shall be. */
export interface DeviceSpec {
  readonly family: Family;
  readonly vni: number;
  readonly port: number;
  /** From where and through which link its packets leave. */
  readonly local: Address;
  readonly link: number;
  readonly learning: boolean;
  readonly gbp: boolean;
  /** Bytes. */
  readonly mtu: number;
  readonly mac: string;
  /** The first address of our subnet, alone. */
  readonly address: Cidr;
  readonly checksumOffload: boolean;
}

// What stands before the inner packet, less the outer Ethernet header, which no MTU counts: IP (20 or 40), UDP (8),
// VXLAN (8), inner Ethernet (14). RFC 7348, section 5.
const OVERHEAD: Readonly<Record<Family, number>> = { 4: 50, 6: 70 };
// RFC 8200, section 5. The kernel takes IPv6 off a link that has less, without a word.
const IPV6_MIN_MTU = 1280;

/** What a device of ours may be called, for those who look for what is left of an earlier network. */
export const OUR_DEVICE = /^tsnet(-v6|6)?\.\d+$/;
/** The same with flannel's. */
export const OVERLAY_DEVICE = /^(tsnet(-v6|6)?|flannel(-v6)?)\.\d+$/;

// IFNAMSIZ of linux/if.h, less the zero at the end.
const NAME_BYTES = 15;

/** The names that a device may have, ours first, then flannel's where the kernel takes that for a name. */
export function deviceNames(family: Family, vni: number): readonly [ours: string, ...flannels: string[]] {
  const suffix = family === 4 ? "" : "-v6";
  const ours = `tsnet${suffix}.${vni}`;
  const flannels = `flannel${suffix}.${vni}`;
  return [ours.length <= NAME_BYTES ? ours : `tsnet6.${vni}`, ...(flannels.length <= NAME_BYTES ? [flannels] : [])];
}

/**
 * The devices of `spec`; none with host-gw.
 *
 * @throws TsnetError `invalid` if the lease has no VTEP MAC, the underlay no address, or what is left of its MTU
 * carries no IPv6.
 */
export function deviceSpecs(spec: FabricSpec): Parts<DeviceSpec> {
  const { backend } = spec;
  if (backend.type !== "vxlan") return {};
  const specs: { -readonly [F in Family]?: DeviceSpec } = {};
  for (const family of FAMILIES) {
    const device = deviceOf(spec, backend, family);
    if (device !== undefined) specs[family] = device;
  }
  return specs;
}

/** Bytes that a container may send at once: the least of what the families' ways carry. */
export function containerMtu(spec: FabricSpec): number {
  const of = FAMILIES.filter((family) => spec.own[family] !== undefined);
  return Math.min(...of.map((family) => mtuOf(spec.backend, spec.underlay.mtu, family)));
}

function deviceOf(spec: FabricSpec, backend: VxlanBackend, family: Family): DeviceSpec | undefined {
  const own = spec.own[family];
  if (own === undefined) return undefined;
  const local = spec.underlay.addresses[family];
  if (local === undefined) {
    throw invalid(`interface ${spec.underlay.name} has no IPv${family} address for VXLAN: give it one or name another`);
  }
  if (own.mac === undefined) throw invalid(`this host's IPv${family} lease has no VTEP MAC, which VXLAN needs`);
  return {
    family,
    vni: backend.vni,
    port: backend.port,
    local,
    link: spec.underlay.index,
    learning: backend.learning,
    gbp: backend.gbp,
    mtu: checkedMtu(spec, family),
    mac: own.mac.toLowerCase(),
    address: { address: firstOf(own.subnet), prefix: bitsOf(family) },
    checksumOffload: backend.checksumOffload,
  };
}

function mtuOf(backend: Backend, underlay: number, family: Family): number {
  return backend.mtu ?? (backend.type === "vxlan" ? underlay - OVERHEAD[family] : underlay);
}

function checkedMtu(spec: FabricSpec, family: Family): number {
  const mtu = mtuOf(spec.backend, spec.underlay.mtu, family);
  const room = spec.underlay.mtu - OVERHEAD[family];
  if (mtu > room) {
    throw invalid(
      `MTU ${mtu} of the network does not fit through ${spec.underlay.name}: of its ${spec.underlay.mtu} bytes VXLAN over IPv${family} takes ${OVERHEAD[family]}: set ${room} or less`,
    );
  }
  if (family === 6 && mtu < IPV6_MIN_MTU) {
    throw invalid(
      `${spec.underlay.name} leaves ${mtu} bytes for IPv6, which needs ${IPV6_MIN_MTU}: raise its MTU to ${IPV6_MIN_MTU + OVERHEAD[6]}`,
    );
  }
  return mtu;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "overlay device" });
}
