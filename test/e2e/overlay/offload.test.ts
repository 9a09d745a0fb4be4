/**
 * Row 14: a network card that gets the checksums of tunnelled packets wrong, played by a rule on the router.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { setTxChecksum } from "../../../lib/sys/ethtool.ts";
import { inside, openNetns } from "../../../lib/sys/netns.ts";
import { StaticPeers } from "./peer-source.ts";
import { overlayWorld, type World } from "./world.ts";

const ROUNDS_MS = 3500;
/** Bits from the outer UDP header to the inner IPv4's protocol and to the inner TCP's checksum: RFC 7348, section 5. */
const PROTOCOL = (8 + 8 + 14 + 9) * 8;
const CHECKSUM = (8 + 8 + 14 + 20 + 16) * 8;
const SPOIL = `nft 'table ip spoil { chain c { type filter hook forward priority 0;
  udp dport 8472 @th,${PROTOCOL},8 6 @th,${CHECKSUM},16 set 0x1234; }; }'`;

let world: World;

beforeAll(async () => {
  world = await overlayWorld(["a", "b", "d"]);
  const peers = new StaticPeers(world);
  await peers.network({ Network: "10.244.0.0/16", Backend: { Type: "vxlan" } });
  for (const host of world.hosts) await peers.add(host);
  // veth pairs hand packets on unsummed, which no wire does.
  for (const { host } of world.hosts) summing(host.pid);
  await Promise.all(world.hosts.map((host) => host.start([...peers.flags(), "--probe-period", "1s"])));
  await Promise.all(world.hosts.map((host) => host.ready(2)));
});
afterAll(() => world?.destroy());

/** `ethtool -K eth0 tx off` on a host. */
function summing(pid: number): void {
  const netns = openNetns(`/proc/${pid}/ns/net`);
  inside(netns, () => setTxChecksum("eth0", false));
  netns.close();
}

const spoken = async () => (await world.host("a").agent.output()).split("\n").filter((line) => /checksum/i.test(line));

it("row 14: the probe is silent where checksums arrive as they should", async () => {
  await Bun.sleep(ROUNDS_MS);
  expect(await spoken()).toEqual([]);
});

it("row 14: is silent too where a firewall on the peer drops the probe, or the peer cannot be reached at all", async () => {
  const d = world.host("d");
  await d.sh("nft 'table inet mute { chain c { type filter hook input priority 0; tcp dport 9 drop; }; }'");
  await Bun.sleep(ROUNDS_MS);
  await d.sh("nft delete table inet mute");
  await world.cut("d");
  await Bun.sleep(ROUNDS_MS);
  await world.mend("d");
  expect(await spoken()).toEqual([]);
});

it("row 14: names the peer and the switch where they arrive spoilt, and nobody else", async () => {
  await world.hub.sh(SPOIL);
  for (const start = Date.now(); (await spoken()).length === 0; await Bun.sleep(100)) {
    if (Date.now() - start > 15_000) throw new Error(`silent: ${await world.host("a").agent.tail()}`);
  }
  const [line = ""] = await spoken();
  expect(line).toContain("198.51.100.14");
  expect(line).toMatch(/checksumOffload/i);
  expect(line).not.toContain("192.0.2.12");
});
