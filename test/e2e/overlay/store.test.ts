/**
 * What happens to a host's subnet, and to everybody's connections, when etcd restarts, forgets, loses everything or
 * cannot be reached, and when a host is cut off for longer than its lease.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Etcd, PREFIX } from "../../overlay/source/etcd.ts";
import { EtcdPeers, leaseOf } from "./etcd-peers.ts";
import type { OverlayHost } from "./overlay-host.ts";
import { networkOf } from "./peer-source.ts";
import { only, reachedAfter, unfelt, type Ways } from "./unfelt.ts";
import { FAMILIES, type HostName, overlayWorld, type World } from "./world.ts";

/** The least that agents take. */
const TTL_MS = 5000;
const STRANGER = { 4: "192.0.2.77", 6: "fd50:1::77", mac: "0a:77:00:00:00:01" } as const;
const THREE = ["a", "b", "d"] as const;

let world: World;
let peers: EtcdPeers;
let etcd: Etcd;

beforeAll(async () => {
  world = await overlayWorld(["a", "b", "d", "e"]);
  peers = await EtcdPeers.start(world, ["--subnet-lease-ttl", `${TTL_MS}ms`]);
  ({ etcd } = peers);
  await peers.network(networkOf());
  const three = THREE.map((name) => world.host(name));
  await Promise.all(three.map((host) => host.start(peers.flags())));
  await Promise.all(three.map((host) => host.ready(2)));
  await Promise.all(three.map((host) => host.attach(`${host.name}1`)));
});
afterAll(() => world?.destroy());

const container = (name: HostName) => only(world.host(name).containers);
const all = (): Ways => [
  [container("a"), container("b"), 4],
  [container("a"), container("d"), 6],
  [container("d"), container("b"), 4],
];
const subnetsOf = (host: OverlayHost) => host.state()?.subnets;

describe("etcd", () => {
  it("restarts and forgets its old versions, and agents hear of what came meanwhile", async () => {
    const extra = free();
    await unfelt(all(), async () => {
      await etcd.kill();
      await Promise.all(THREE.map((name) => world.host(name).until("it is missed", ({ connected }) => !connected)));
      await etcd.start();
      for (let number = 0; number < 20; number++) await etcd.put(`${PREFIX}/other`, String(number));
      await etcd.compact();
      await etcd.put(...strangers(extra));
      await Promise.all(
        THREE.map((name) => world.host(name).until("the new lease", ({ peers }) => peers.length === 3)),
      );
      await etcd.delete(strangers(extra)[0]);
      await Promise.all(THREE.map((name) => world.host(name).until("its end", ({ peers }) => peers.length === 2)));
    });
  });

  it("loses everything: each host writes its lease again, and keeps its subnet", async () => {
    const before = THREE.map((name) => subnetsOf(world.host(name)));
    await unfelt(all(), async () => {
      await etcd.wipe();
      await peers.network(networkOf());
      for (const start = Date.now(); (await peers.keys()).length < 3; await Bun.sleep(100)) {
        if (Date.now() - start > 20_000) throw new Error(`only ${await peers.keys()} came back`);
      }
      await Promise.all(THREE.map((name) => world.host(name).ready(2)));
    });
    expect(THREE.map((name) => subnetsOf(world.host(name)))).toEqual(before);
  });

  it("cannot be reached at an agent's start: a new host waits for it, and one that was keeps all that it has", async () => {
    const [a, e] = [world.host("a"), world.host("e")];
    await unfelt(all(), async () => {
      await a.agent.stop("KILL");
      await etcd.kill();
      await a.start(peers.flags());
      await e.start(peers.flags());
      await Bun.sleep(TTL_MS);
      expect(a.agent.running && e.agent.running).toBe(true);
      expect(await e.agent.output()).toMatch(/etcd/);
      await etcd.start();
      await Promise.all([a.ready(3), e.ready(3)]);
    });
    await e.attach("e1");
    for (const family of FAMILIES) await reachedAfter(container("a"), container("e"), family, 2000);
  });
});

describe("a host that is cut off for longer than its lease", () => {
  it("takes its subnet back when it comes again, and its containers are reached as before", async () => {
    const e = world.host("e");
    const before = subnetsOf(e);
    await unfelt(all(), async () => {
      await world.cut("e");
      await Promise.all(THREE.map((name) => world.host(name).until("its end", ({ peers }) => peers.length === 2)));
      await world.mend("e");
      for (const family of FAMILIES) await reachedAfter(container("a"), container("e"), family, 15_000);
      for (const family of FAMILIES) await reachedAfter(container("e"), container("b"), family, 5000);
    });
    expect(subnetsOf(e)).toEqual(before);
    await e.ready(3);
  });

  it("finds that somebody has taken it: STATUS 51 names the holder, and no container's address changes", async () => {
    const e = world.host("e");
    const before = subnetsOf(e) ?? [];
    await unfelt(all(), async () => {
      await world.cut("e");
      await world.host("a").until("its end", ({ peers }) => peers.length === 2);
      await etcd.put(...strangers(before));
      await world.mend("e");
      await e.until("code 51", ({ trouble }) => trouble?.code === 51);
    });
    const status = await e.cni("status");
    expect(status.exitCode).not.toBe(0);
    expect(status.stdout + status.stderr).toContain(STRANGER[4]);
    expect(e.state()?.trouble?.message).toContain(STRANGER[4]);
    const [four = ""] = before;
    expect(await container("e").sh("ip addr show eth0")).toContain(`inet ${four.replace(/\.0\/24$/, ".")}`);
    await e.host.addNetns("late");
    const late = await e.cni("add", "late");
    expect(late).toMatchObject({ exitCode: 1 });
    expect(late.stdout + late.stderr).toContain(STRANGER[4]);
    // Free again: it is retaken, and all is as it was.
    await etcd.delete(strangers(before)[0]);
    await e.ready(3);
    expect(subnetsOf(e)).toEqual(before);
    for (const family of FAMILIES) await reachedAfter(container("d"), container("e"), family, 5000);
  });
});

describe("row 18: two hosts with one address", () => {
  it("the second is refused by name, touches nobody, and --replace-lease is the way out", async () => {
    const e = world.host("e");
    const before = subnetsOf(e);
    await e.detach("e1");
    await unfelt(all(), async () => {
      await e.agent.stop("TERM");
      // Set up anew: another MAC, and nothing known of before.
      await e.sh("rm -rf /var/lib/tsnet /run/tsnet /run/flannel; ip link del tsnet.1; ip link del tsnet-v6.1");
      await e.start(peers.flags());
      const { trouble } = await e.until(
        "refusal",
        (state) => state.trouble?.message.includes("replace-lease") ?? false,
      );
      expect(trouble?.message).toContain(e.place[4]);
      await e.agent.stop("TERM");
      await e.start([...peers.flags(), "--replace-lease"]);
      await e.ready(3);
    });
    expect(subnetsOf(e)).toEqual(before);
    await e.attach("e1");
    for (const family of FAMILIES) await reachedAfter(container("a"), container("e"), family, 5000);
  });
});

/** Subnets that no host of ours took by chance. */
function free(): readonly string[] {
  const taken = new Set(THREE.flatMap((name) => subnetsOf(world.host(name)) ?? []));
  const number = [77, 78, 79, 80].find(
    (one) => !taken.has(`10.244.${one}.0/24`) && !taken.has(`fd00:10:244:${one}::/64`),
  );
  return [`10.244.${number}.0/24`, `fd00:10:244:${number}::/64`];
}

/** The lease of somebody who is not in this world. */
function strangers(subnets: readonly string[]): readonly [key: string, value: string] {
  return leaseOf(subnets, STRANGER);
}
