/**
 * Two hosts and a router between, with a VXLAN device each: what probes are tried on. Cards of the underlay have their
 * checksums computed, as a real wire has; veth alone never computes any.
 *
 * @module
 */
import { type Address, parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { addrReplace } from "../../../lib/netlink/addr.ts";
import { RtBatch } from "../../../lib/netlink/batch.ts";
import { veth, vxlan } from "../../../lib/netlink/kinds.ts";
import { linkAdd, linkGet, linkSet } from "../../../lib/netlink/link.ts";
import { routeReplace } from "../../../lib/netlink/route.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { setTxChecksum } from "../../../lib/sys/ethtool.ts";
import { inside, type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

/** First addresses of the subnets of host a and of host b, which their devices have. */
export const AT_A = { 4: parseAddress("10.244.1.0"), 6: parseAddress("fd00:244:1::") } as const;
export const AT_B = { 4: parseAddress("10.244.2.0"), 6: parseAddress("fd00:244:2::") } as const;
const VTEP_A = "0a:00:00:00:00:0a";
const VTEP_B = "0a:00:00:00:00:0b";
const OUTER_A = parseAddress("192.0.2.1");
const OUTER_B = parseAddress("198.51.100.1");

export interface Tunnel extends AsyncDisposable {
  readonly host: Host;
  readonly a: Netns;
  readonly b: Netns;
  /** Runs a shell script in namespace `a`, `b`, or `r` of the router. */
  sh(where: "a" | "b" | "r", script: string): Promise<void>;
}

export async function openTunnel(): Promise<Tunnel> {
  const host = await Host.create();
  const names = ["a", "b", "r"] as const;
  for (const name of names) await host.addNetns(name);
  const [a, b, r] = names.map((name) => openNetns(`/proc/${host.pid}/root/run/netns/${name}`));
  if (a === undefined || b === undefined || r === undefined) throw new Error("no namespaces");
  cable(a, r, { name: "up-a", here: "192.0.2.1/24", there: "192.0.2.254/24" });
  cable(b, r, { name: "up-b", here: "198.51.100.1/24", there: "198.51.100.254/24" });
  await host.inNetns("r", ["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
  device(a, { own: AT_A, mac: VTEP_A, local: OUTER_A, peer: AT_B, peerMac: VTEP_B, outer: OUTER_B });
  device(b, { own: AT_B, mac: VTEP_B, local: OUTER_B, peer: AT_A, peerMac: VTEP_A, outer: OUTER_A });
  return {
    host,
    a,
    b,
    async sh(where, script) {
      await host.ok(["ip", "netns", "exec", where, "sh", "-ec", script]);
    },
    async [Symbol.asyncDispose]() {
      for (const netns of [a, b, r]) netns.close();
      await host.destroy();
    },
  };
}

function cable(
  netns: Netns,
  router: Netns,
  { name, here, there }: { name: string; here: string; there: string },
): void {
  using socket = RtSocket.open(netns);
  using far = RtSocket.open(router);
  linkAdd(socket, { name: "eth0", kind: veth({ name, netns: router }) });
  for (const [at, link, cidr, where] of [
    [socket, "eth0", here, netns],
    [far, name, there, router],
  ] as const) {
    addrReplace(at, { index: linkGet(at, link)?.index ?? 0, cidr: parseCidr(cidr) });
    linkSet(at, link, { up: true });
    inside(where, () => setTxChecksum(link, false));
  }
  routeReplace(socket, { dst: parseCidr("0.0.0.0/0"), gateway: parseCidr(there).address });
}

interface DeviceSpec {
  readonly own: { readonly 4: Address; readonly 6: Address };
  readonly mac: string;
  readonly local: Address;
  readonly peer: { readonly 4: Address; readonly 6: Address };
  readonly peerMac: string;
  readonly outer: Address;
}

function device(netns: Netns, { own, mac, local, peer, peerMac, outer }: DeviceSpec): void {
  using socket = RtSocket.open(netns);
  const link = linkGet(socket, "eth0")?.index ?? 0;
  const kind = vxlan({ vni: 1, port: 8472, local, link, learning: false });
  linkAdd(socket, { name: "vx", kind, mac, up: true });
  const index = linkGet(socket, "vx")?.index ?? 0;
  const batch = new RtBatch();
  batch.fdbReplace({ index, mac: peerMac, dst: outer });
  for (const family of [4, 6] as const) {
    addrReplace(socket, { index, cidr: { address: own[family], prefix: family === 4 ? 32 : 128 }, noDad: true });
    const gateway = peer[family];
    batch.neighReplace({ index, address: gateway, mac: peerMac });
    batch.routeReplace({
      dst: { address: gateway, prefix: family === 4 ? 24 : 64 },
      gateway,
      dev: index,
      onlink: true,
    });
  }
  const [failure] = batch.commit(socket);
  if (failure !== undefined) throw new Error(failure.message);
}
