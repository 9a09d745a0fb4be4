/**
 * Leases in hand to the last kernel entry, ours against `ip -batch` and `bridge -batch` with the same entries.
 *
 * Each round of either side is a fresh process in a fresh namespace, and both are measured around the work alone: ours
 * from the leases as values to its last acknowledgement, theirs from the start of the programs, which read a file.
 *
 *     bun load.ts COUNT        inside the namespace: prints the ms
 *
 * @module
 */
import { openLog } from "../../lib/daemon/log.ts";
import { parseAddress } from "../../lib/net/address.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import { linkGet } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { openFabric } from "../../overlay/kernel/open.ts";
import type { Lease, VxlanBackend } from "../../overlay/types.ts";
import { Host } from "../../test/e2e/host.ts";
import type { Series } from "../table.ts";

const DEVICE = "hand.1";
const UPLINK = `ip link add eth0 type veth peer name eth1; ip addr add 192.0.2.1/24 dev eth0
  ip link set eth0 up; ip link set eth1 up; ip route add default via 192.0.2.254`;

/** Ms of each round. */
export async function loads(count: number, rounds: number): Promise<Series> {
  const series: Series = { ours: [], peer: [] };
  for (let round = 0; round <= rounds; round++) {
    const [ours, peer] = [await measureOurs(count), await measureBatch(count)];
    if (round === 0) continue;
    series.ours.push(ours);
    series.peer.push(peer);
  }
  return series;
}

async function measureOurs(count: number): Promise<number> {
  await using host = await Host.create();
  await host.sh(UPLINK);
  const ms = Number(await host.ok([process.execPath, import.meta.path, String(count)]));
  await mustHold(host, "tsnet.1", count);
  return ms;
}

async function measureBatch(count: number): Promise<number> {
  await using host = await Host.create();
  await host.sh(`${UPLINK}
    ip link add ${DEVICE} type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning
    ip addr add 10.128.0.0/32 dev ${DEVICE}; ip link set ${DEVICE} up`);
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const lines = numbers.map((number) => {
    const { subnet, mac } = peerOf(number);
    return `neigh replace ${subnet} lladdr ${mac} dev ${DEVICE} nud permanent\nroute replace ${subnet}/24 via ${subnet} dev ${DEVICE} onlink`;
  });
  const fdb = numbers.map((number) => `fdb append ${peerOf(number).mac} dev ${DEVICE} dst ${peerOf(number).address}`);
  await host.ok(["tee", "/run/ip"], { stdin: `${lines.join("\n")}\n` });
  await host.ok(["tee", "/run/bridge"], { stdin: `${fdb.join("\n")}\n` });
  const text = await host.sh("date +%s%N; ip -batch /run/ip; bridge -batch /run/bridge; date +%s%N");
  const [start, end] = text.trim().split("\n").map(Number);
  await mustHold(host, DEVICE, count);
  return ((end ?? 0) - (start ?? 0)) / 1e6;
}

/** @throws Error if it has not all entries: then its time says nothing. */
async function mustHold(host: Host, device: string, count: number): Promise<void> {
  const text = await host.sh(`ip route show dev ${device} | grep -c via
    ip neigh show dev ${device} nud permanent | wc -l; bridge fdb show dev ${device} | grep -c dst`);
  const found = text.trim().split("\n").map(Number);
  if (found.some((number) => number !== count)) throw new Error(`${device} has ${found} entries, wanted ${count} each`);
}

function peerOf(number: number) {
  const hex = number.toString(16).padStart(4, "0");
  return {
    subnet: `10.${128 + (number >> 8)}.${number & 255}.0`,
    mac: `0a:00:00:00:${hex.slice(0, 2)}:${hex.slice(2)}`,
    address: `198.18.${number >> 8}.${number & 255}`,
  };
}

const BACKEND: VxlanBackend = {
  type: "vxlan",
  vni: 1,
  port: 8472,
  mtu: undefined,
  learning: false,
  gbp: false,
  directRouting: false,
  checksumOffload: true,
};

function leaseOf(number: number): Lease {
  const { subnet, mac, address } = peerOf(number);
  const part = { subnet: parseCidr(`${subnet}/24`), address: parseAddress(address), mac };
  return { key: subnet, host: address, backend: "vxlan", vni: 1, parts: { 4: part } };
}

function load(count: number): number {
  const peers = Array.from({ length: count }, (_, index) => leaseOf(index + 1));
  const own = { ...leaseOf(0).parts[4], address: parseAddress("192.0.2.1") };
  const { mac, subnet, address } = own;
  if (subnet === undefined) throw new Error("no subnet");
  const index = indexOf("eth0");
  const addresses = { 4: address };
  const fabric = openFabric({ log: openLog({ format: "text", verbosity: 0, write() {} }) });
  const underlay = { index, name: "eth0", mtu: 1500, addresses, publicAddresses: addresses };
  fabric.configure({ backend: BACKEND, underlay, own: { 4: { subnet, address, mac } }, blackholeRoute: false });
  const start = performance.now();
  const { failures } = fabric.replace(peers);
  const ms = performance.now() - start;
  if (failures.size > 0) throw new Error(`${failures.size} peers failed`);
  fabric.close();
  return ms;
}

function indexOf(name: string): number {
  const socket = RtSocket.open();
  try {
    const link = linkGet(socket, name);
    if (link === undefined) throw new Error(`no ${name}`);
    return link.index;
  } finally {
    socket.close();
  }
}

if (import.meta.main) console.log(load(Number(process.argv[2])));
