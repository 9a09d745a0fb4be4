/**
 * Leases, and a host with an underlay, for tests of the fabric.
 *
 * @module
 */
import type { Log } from "../../../lib/daemon/log.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { linkGet } from "../../../lib/netlink/link.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { txChecksum } from "../../../lib/sys/ethtool.ts";
import { inside, type Netns, openNetns } from "../../../lib/sys/netns.ts";
import type { FabricReport, FabricSpec } from "../../../overlay/kernel/fabric.ts";
import { type OpenFabric, openFabric } from "../../../overlay/kernel/open.ts";
import type { Backend, HostGwBackend, Lease, LeasePart, VxlanBackend } from "../../../overlay/types.ts";
import { Host } from "../../e2e/host.ts";

export const VXLAN: VxlanBackend = {
  ...{ type: "vxlan", vni: 1, port: 8472, mtu: undefined },
  ...{ learning: false, gbp: false, directRouting: false, checksumOffload: true },
};
export const HOST_GW: HostGwBackend = { type: "host-gw", mtu: undefined };

export interface LeaseChanges {
  readonly subnet?: string;
  readonly address?: string;
  readonly mac?: string | undefined;
  readonly backend?: Lease["backend"];
  readonly vni?: number;
  readonly families?: readonly (4 | 6)[];
}

/** Host `n` of at most some thousands: its subnets, its addresses on the underlay, its VTEP MAC. */
export function lease(n: number, changes: LeaseChanges = {}): Lease {
  const { families = [4], backend = "vxlan" } = changes;
  const mac = "mac" in changes ? changes.mac : macOf(n);
  const four = {
    subnet: parseCidr(changes.subnet ?? `10.${100 + (n >> 8)}.${n & 255}.0/24`),
    address: parseAddress(changes.address ?? `192.0.${2 + (n >> 8)}.${n & 255}`),
    mac,
  };
  const six = {
    subnet: parseCidr(`fd00:244:0:${n.toString(16)}::/64`),
    address: parseAddress(`fd50::${n.toString(16)}`),
    mac,
  };
  return {
    ...{ key: `h${n}`, host: `host-${n}`, backend, vni: backend === "vxlan" ? (changes.vni ?? 1) : undefined },
    parts: { ...(families.includes(4) ? { 4: four } : {}), ...(families.includes(6) ? { 6: six } : {}) },
  };
}

export function macOf(n: number): string {
  return `0a:00:00:00:${[n >> 8, n & 255].map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}

export function specOf(
  underlay: { readonly index: number; readonly name: string; readonly mtu: number },
  more: { readonly backend?: Backend; readonly own?: Lease; readonly blackholeRoute?: boolean } = {},
): FabricSpec {
  const own = more.own ?? lease(1);
  const addresses = Object.fromEntries(
    Object.entries(own.parts).map(([family, part]: [string, LeasePart]) => [family, part.address]),
  );
  return {
    backend: more.backend ?? VXLAN,
    underlay: { ...underlay, addresses, publicAddresses: addresses },
    own: own.parts,
    blackholeRoute: more.blackholeRoute ?? false,
  };
}

/** A log that keeps its lines: level, message, reason. */
export function memoryLog(): Log & { readonly lines: readonly string[] } {
  const lines: string[] = [];
  const line =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      lines.push([level, message, ...Object.values(fields).map(String)].join(" "));
    };
  return { lines, info: line("info"), warn: line("warn"), error: line("error"), debug: () => {} };
}

/** A host with `eth0` on 192.0.2.1/24 and fd50::1/64, one end of a veth pair whose other is in the namespace `wire`. */
export class FabricHost {
  readonly host: Host;
  readonly log = memoryLog();
  readonly #netns: Netns;
  readonly #socket: RtSocket;

  private constructor(host: Host) {
    this.host = host;
    this.#netns = openNetns(`/proc/${host.pid}/ns/net`);
    this.#socket = RtSocket.open(this.#netns);
  }

  static async create(): Promise<FabricHost> {
    const host = await Host.create();
    await host.addNetns("wire");
    await host.sh(`
      ip link add eth0 type veth peer name eth0 netns wire
      ip address add 192.0.2.1/24 dev eth0; ip address add fd50::1/64 dev eth0 nodad
      ip link set eth0 up; ip -n wire link set eth0 up
      sysctl -qw net.ipv4.ip_forward=1`);
    return new FabricHost(host);
  }

  open(): OpenFabric {
    return openFabric({ log: this.log, netns: this.#netns });
  }

  /** eth0 as it is. */
  get underlay(): { readonly index: number; readonly name: string; readonly mtu: number } {
    const link = linkGet(this.#socket, "eth0");
    if (link === undefined) throw new Error("the test's host has lost its eth0");
    return { index: link.index, name: "eth0", mtu: link.mtu };
  }

  sh(script: string): Promise<string> {
    return this.host.sh(script);
  }

  /** Whether the device leaves checksums of what it sends to whoever is behind it. */
  checksumOffload(device: string): boolean {
    return inside(this.#netns, () => txChecksum(device));
  }

  /** Of a link. */
  indexOf(name: string): Promise<string> {
    return this.sh(`ip -o link show ${name} | cut -d: -f1`);
  }

  /** What is there for peers, as `ip` and `bridge` show it: without link-local addresses and the kernel's own. */
  async entries(device = "tsnet.1"): Promise<readonly string[]> {
    const out = await this.sh(`
      ip -o address show dev ${device} | awk '$4 !~ /^fe80:/ { print $3, $4 }'
      for v in 4 6; do ip -$v route show table all | grep -vE 'proto kernel|^(local|broadcast|anycast|multicast) ' || true; done
      ip neighbour show dev ${device} nud permanent | sort
      bridge fdb show dev ${device} | sort`);
    return out
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "");
  }

  async destroy(): Promise<void> {
    this.#socket.close();
    this.#netns.close();
    await this.host.destroy();
  }
}

/** What was found and put right, a line each. */
export function repairsOf({ repairs }: FabricReport): readonly string[] {
  return repairs.map(({ kind, object, found }) => `${kind} ${found}: ${object}`).sort();
}
