/**
 * What this host offers to the others, and wants back: its address, the MAC that it is known by, its subnet.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import type { Address, Family } from "../lib/net/address.ts";
import { type Cidr, networkOf } from "../lib/net/cidr.ts";
import { formatMac } from "../lib/net/mac.ts";
import { addrList } from "../lib/netlink/addr.ts";
import { RtSocket } from "../lib/netlink/socket.ts";
import { readSubnetEnv } from "../lib/overlay/subnetenv.ts";
import { hasContainers } from "./files/containers.ts";
import { readVtep, writeVtep } from "./files/identity.ts";
import { FAMILIES, mapParts } from "./parts.ts";
import type { OverlaySettings } from "./settings.ts";
import type { Backend, Claim, Lease, NetworkConfig, Parts, Underlay } from "./types.ts";

export interface ClaimOptions {
  readonly settings: OverlaySettings;
  /** The VXLAN devices that are there, by family. */
  readonly adoptable: (backend: Backend) => Parts<{ readonly mac: string }>;
  readonly log: Log;
}

/** What `own` (the lease so far) or, at a start, the files of the agent before us let us ask for. */
export function claimOf(options: ClaimOptions, network: NetworkConfig, underlay: Underlay, own?: Lease): Claim {
  const { settings, log } = options;
  const { backend } = network;
  const families = FAMILIES.filter((family) => network.networks[family] !== undefined);
  const macs = backend.type === "vxlan" ? macsOf(options, backend, families) : {};
  const previous =
    own === undefined ? lastSubnets(settings.subnetFile, log) : mapParts(own.parts, (part) => part.subnet);
  return {
    host: settings.nodeName,
    backend: backend.type,
    vni: backend.type === "vxlan" ? backend.vni : undefined,
    parts: mapParts(underlay.publicAddresses, (address) => ({ address, mac: macs[address.family] })),
    previous,
    pinned: hasContainers(previous, settings.conflist),
    present: presentAddresses(),
  };
}

function presentAddresses(): readonly Address[] {
  using host = RtSocket.open();
  return addrList(host).map(({ cidr }) => cidr.address);
}

/**
 * A device that is there has the MAC that the others know; after a reboot the disk has it. Both families have the same
 * unless their devices differ, as flannel's annotations hold one.
 */
function macsOf(
  { settings, adoptable, log }: ClaimOptions,
  backend: Backend,
  families: readonly Family[],
): Parts<string> {
  const devices = mapParts(adoptable(backend), ({ mac }) => mac);
  const kept = keptMacs(settings.dataDir, log);
  const any = devices[4] ?? kept[4] ?? devices[6] ?? kept[6] ?? randomMac();
  const macs = Object.fromEntries(families.map((family) => [family, devices[family] ?? kept[family] ?? any]));
  writeVtep(settings.dataDir, { ...kept, ...macs });
  return macs;
}

function keptMacs(dataDir: string, log: Log): Parts<string> {
  try {
    return readVtep(dataDir);
  } catch (error) {
    log.error("the VTEP's MAC of before cannot be read: taking another", { reason: messageOf(error) });
    return {};
  }
}

/** Locally administered, of one station (IEEE 802, section 8.2). */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return formatMac(bytes);
}

function lastSubnets(file: string, log: Log): Parts<Cidr> {
  try {
    return mapParts(readSubnetEnv(file)?.subnets ?? {}, networkOf);
  } catch (error) {
    log.warn("the subnets of before cannot be read", { file, reason: messageOf(error) });
    return {};
  }
}
