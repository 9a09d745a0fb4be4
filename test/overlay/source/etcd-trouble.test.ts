/**
 * What goes wrong with an etcd, done to a real one: away, frozen, emptied, compacted, its records removed, changed or
 * taken by somebody else; and who may not come in.
 *
 * @module
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../lib/daemon/clock.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { type EtcdSourceSettings, etcdSource } from "../../../overlay/source/etcd.ts";
import type { Source } from "../../../overlay/source/source.ts";
import { Door } from "../../door.ts";
import { Host } from "../../e2e/host.ts";
import { A, B, C, claimOf, NETWORK, type SourceWorld } from "./cases.ts";
import { type Etcd, PREFIX, startEtcd } from "./etcd.ts";
import { keyOf, openEtcdWorld, SILENT } from "./etcdworld.ts";
import { Recorder } from "./recorder.ts";

let host: Host;
let etcd: Etcd;
let world: SourceWorld;
let door: Door;
let sources: Source[] = [];

beforeAll(async () => {
  host = await Host.create();
  etcd = await startEtcd({ host });
});
afterAll(async () => {
  await etcd.stop();
  await host.destroy();
});
beforeEach(async () => {
  world = await openEtcdWorld(etcd);
  door = await Door.open(await etcd.door());
  await world.setNetwork(NETWORK);
});
afterEach(async () => {
  await Promise.all(sources.map((source) => source.stop()));
  sources = [];
  door.shut();
});

async function listen(more: Partial<EtcdSourceSettings> = {}, clock = systemClock) {
  const settings = await etcd.settings({ endpoints: [`https://127.0.0.1:${door.port}`] });
  const source = etcdSource({ ...settings, replaceLease: false, ...more }, { log: SILENT, clock });
  sources.push(source);
  const heard = new Recorder();
  source.start(heard);
  return { source, heard };
}

const isDown = (heard: Recorder) => heard.connections.at(-1)?.startsWith("down: ") === true;
const isUp = (heard: Recorder) => heard.connections.at(-1) === "up";

describe("an etcd", () => {
  test("that is frozen is noticed, and heard again once it goes on", async () => {
    await world.setHost(B);
    const { heard } = await listen();
    await heard.until("connection", () => isUp(heard));
    await etcd.freeze();
    await heard.until("no connection", () => isDown(heard), 20_000);
    expect(heard.hosts).toEqual(["b 10.244.2.0/24"]);
    await etcd.thaw();
    await heard.until("connection", () => isUp(heard), 20_000);
    await world.setHost(C);
    await heard.until("c", () => heard.hosts.includes("c 10.244.3.0/24"));
  });

  test("that has compacted what happened while nobody listened is listed anew", async () => {
    for (const one of [B, C]) await world.setHost(one);
    const { heard } = await listen();
    await heard.until("connection", () => isUp(heard));
    door.shut();
    await heard.until("no connection", () => isDown(heard));
    await world.removeHost("c");
    await world.setHost(A);
    await etcd.compact();
    await door.reopen();
    await heard.until("a", () => heard.hosts.includes("a 10.244.1.0/24"));
    expect(heard.hosts).toEqual(["a 10.244.1.0/24", "b 10.244.2.0/24"]);
  });

  test("that has lost its data takes no peer from us: who is there writes again, who is not is gone after a while", async () => {
    const ours = await listen({ returnMs: 3000 });
    ours.source.claim(claimOf(A));
    const { lease } = await ours.heard.answered("held");
    const theirs = await listen({ returnMs: 3000 });
    theirs.source.claim(claimOf(B));
    await theirs.heard.answered("held");
    await world.setHost(C);
    await ours.heard.until("three", () => ours.heard.all.size === 3);
    const before = ours.heard.connections.length;
    await etcd.wipe();
    await ours.heard.until("connection", () => ours.heard.connections.length > before && isUp(ours.heard));
    expect(ours.heard.hosts).toEqual(["a 10.244.1.0/24", "b 10.244.2.0/24", "c 10.244.3.0/24"]);
    await ours.heard.until("c gone", () => ours.heard.all.size === 2, 10_000);
    expect(ours.heard.hosts).toEqual(["a 10.244.1.0/24", "b 10.244.2.0/24"]);
    expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([keyOf(A), keyOf(B)]);
    expect(ours.heard.answers.map(({ kind }) => kind)).not.toContain("refused");
    expect(ours.heard.all.get(lease.key)).toEqual(lease);
  });

  test("with several endpoints is reached by the one that answers", async () => {
    await world.setHost(B);
    const nobody = await Door.open(1);
    const endpoints = [`https://127.0.0.1:${nobody.port}`, `https://127.0.0.1:${door.port}`];
    const { heard } = await listen({ endpoints });
    await heard.until("b", () => heard.hosts.includes("b 10.244.2.0/24"));
    await heard.until("connection", () => isUp(heard));
    nobody.shut();
  });

  test("without a config of the network says how to write one", async () => {
    await etcd.delete(`${PREFIX}/config`);
    const { heard } = await listen();
    await heard.until("a reason", () => heard.bad.size > 0);
    expect(heard.bad.get(`${PREFIX}/config`)).toContain("etcdctl put /coreos.com/network/config");
    await world.setNetwork(NETWORK);
    await heard.until("network", () => heard.config !== undefined);
    expect(heard.bad.size).toBe(0);
  });
});

describe("our lease", () => {
  test("is renewed in time by a host whose clock is set back or forward by a day", async () => {
    let shift = 0;
    const clock = { ...systemClock, wall: () => Date.now() + shift };
    const { source, heard } = await listen({ ttl: 3000, renewMargin: 1500 }, clock);
    source.claim(claimOf(A));
    const { lease } = await heard.answered("held");
    for (const day of [-1, 1]) {
      shift += day * 86_400_000;
      await Bun.sleep(4500);
    }
    expect(heard.order).not.toContain("gone");
    expect(await etcd.get(lease.key)).toContain(A.mac);
  });

  test("is renewed before its time is over, and ends with an agent that is gone", async () => {
    const { source, heard } = await listen({ ttl: 4000, renewMargin: 3000 });
    source.claim(claimOf(A));
    const first = await heard.answered("held");
    await Bun.sleep(7000);
    expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([keyOf(A)]);
    expect(heard.answer?.kind).toBe("held");
    const last = await heard.answered("held", heard.answers.length - 1);
    expect(last.expires).toBeGreaterThan(Number(first.expires) + 4000);
    // Renewing changes no key, so that nobody else hears of it.
    expect(heard.order.filter((event) => event === "changed")).toHaveLength(1);
    await source.stop();
    expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([keyOf(A)]);
    const end = performance.now() + 10_000;
    while ((await etcd.keys(`${PREFIX}/subnets/`)).length > 0) {
      expect(performance.now()).toBeLessThan(end);
      await Bun.sleep(200);
    }
  });

  test("is written again if somebody removes it, with the same subnet", async () => {
    const { source, heard } = await listen();
    source.claim(claimOf(A, { previous: {} }));
    const { lease } = await heard.answered("held");
    await etcd.delete(lease.key);
    await heard.until("gone", () => heard.order.includes("gone"));
    await heard.until("there again", () => heard.all.has(lease.key));
    expect(heard.all.get(lease.key)).toEqual(lease);
    expect(await etcd.get(lease.key)).toContain(A.mac);
  });

  test("of the same record by another program is written as we want it", async () => {
    const { source, heard } = await listen();
    source.claim(claimOf(A));
    const { lease } = await heard.answered("held");
    const text = (await etcd.get(lease.key)) ?? "";
    await etcd.put(lease.key, text.replace('"VNI":1', '"VNI":7'));
    await heard.until("as before", () => heard.order.filter((event) => event === "changed").length >= 3);
    expect(heard.all.get(lease.key)).toEqual(lease);
  });

  test("that ended while we were cut off is taken again, if nobody has the subnet", async () => {
    const { source, heard } = await listen();
    source.claim(claimOf(A));
    const { lease } = await heard.answered("held");
    door.shut();
    await heard.until("no connection", () => isDown(heard));
    await etcd.delete(lease.key);
    await door.reopen();
    await heard.until("connection", () => isUp(heard));
    await heard.until("ours", () => heard.all.has(lease.key));
    expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([keyOf(A)]);
  });

  test("that another host took while we were cut off is taken by name, and ours again once it is free", async () => {
    const { source, heard } = await listen();
    source.claim(claimOf(A));
    await heard.answered("held");
    door.shut();
    await heard.until("no connection", () => isDown(heard));
    await world.setHost({ ...B, subnet: A.subnet });
    await door.reopen();
    const { holder, subnets } = await heard.answered("taken");
    expect(holder).toBe("b (192.0.2.2)");
    expect(subnets[4] && formatCidr(subnets[4])).toBe(A.subnet);
    const told = heard.answers.length;
    await world.removeHost("b");
    const { lease } = await heard.answered("held", told);
    expect(lease.parts[4]?.subnet).toEqual(parseCidr(A.subnet));
  });

  test("follows this host to another address, and keeps its subnet", async () => {
    const { source, heard } = await listen();
    source.claim(claimOf(A));
    await heard.answered("held");
    source.claim(claimOf({ ...A, address: "192.0.2.111" }));
    const { lease } = await heard.answered("held", 1);
    expect(lease.parts[4]).toMatchObject({ address: parseAddress("192.0.2.111"), subnet: parseCidr(A.subnet) });
    expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([keyOf(A)]);
    expect(await etcd.get(keyOf(A))).toContain("192.0.2.111");
  });

  test("and that of another host with which we exchange addresses follow both, as none goes on telling what it has no more", async () => {
    const [one, two] = [await listen(), await listen()];
    one.source.claim(claimOf(A));
    two.source.claim(claimOf(B));
    await one.heard.answered("held");
    await two.heard.answered("held");
    one.source.claim(claimOf({ ...A, address: B.address }, { present: [parseAddress(B.address)] }));
    await one.heard.answered("refused");
    two.source.claim(claimOf({ ...B, address: A.address }, { present: [parseAddress(A.address)] }));
    for (const { heard } of [one, two]) await heard.until("it follows", () => heard.answer?.kind === "held");
    expect(await etcd.get(keyOf(A))).toContain(`"${B.address}"`);
    expect(await etcd.get(keyOf(B))).toContain(`"${A.address}"`);
  });

  test("of this host's address with another MAC is taken with replaceLease", async () => {
    await world.setHost({ ...B, address: A.address, subnet: A.subnet });
    const { source, heard } = await listen({ replaceLease: true });
    source.claim(claimOf(A));
    const { lease } = await heard.answered("held");
    expect(lease.parts[4]?.mac).toBe(A.mac);
    expect(await etcd.get(keyOf(A))).toContain(A.mac);
  });

  test("is the one that is reserved for our address, and lasts", async () => {
    const key = `${PREFIX}/subnets/10.244.77.0-24`;
    await etcd.put(key, `{"PublicIP":"${A.address}"}`);
    const { source, heard } = await listen({ ttl: 2000, renewMargin: 1000 });
    source.claim(claimOf(A));
    const held = await heard.answered("held");
    expect(held).toMatchObject({ lease: { key } });
    expect(held.expires).toBeUndefined();
    await source.stop();
    await Bun.sleep(4000);
    expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([key]);
  });

  test("is refused while no subnet is free, and given once one is", async () => {
    await world.setNetwork({ ...NETWORK, SubnetMin: "10.244.1.0", SubnetMax: "10.244.2.0" });
    for (const one of [
      { ...B, subnet: A.subnet },
      { ...C, subnet: B.subnet },
    ])
      await world.setHost(one);
    const { source, heard } = await listen();
    source.claim(claimOf(A, { previous: {} }));
    const { reason } = await heard.answered("refused");
    expect(reason).toContain("2 of /24 from 10.244.1.0 to 10.244.2.0");
    await world.removeHost("c");
    const { lease } = await heard.answered("held");
    expect(lease.parts[4]?.subnet).toEqual(parseCidr(B.subnet));
  });

  test("is given up for clean-up, and nobody else's", async () => {
    await world.setHost(B);
    const { source, heard } = await listen();
    source.claim(claimOf(A));
    await heard.answered("held");
    await source.stop();
    const cleaner = await listen();
    await cleaner.source.stop();
    await cleaner.source.release(claimOf(A));
    expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([keyOf(B)]);
  });
});

test("hosts that come all at once have a subnet each, of both families", async () => {
  await world.setNetwork({ ...NETWORK, EnableIPv6: true, IPv6Network: "fd00:244::/48", SubnetMax: "10.244.40.0" });
  const many = await Promise.all(Array.from({ length: 30 }, () => listen()));
  for (const [i, { source }] of many.entries()) {
    const mac = `0a:00:00:00:00:${(16 + i).toString(16)}`;
    const parts = {
      4: { address: parseAddress(`192.0.2.${i + 1}`), mac },
      6: { address: parseAddress(`fd50::${i + 1}`), mac },
    };
    source.claim(claimOf(A, { host: `host${i}`, parts, previous: {} }));
  }
  const leases = await Promise.all(many.map(async ({ heard }) => (await heard.answered("held")).lease));
  for (const family of [4, 6] as const) {
    const subnets = leases.map(({ parts }) => parts[family]?.subnet).map((one) => (one ? formatCidr(one) : "none"));
    expect(new Set(subnets).size).toBe(30);
  }
  await many[0]?.heard.until("all", () => many[0]?.heard.all.size === 30);
});

describe("who may not come in", () => {
  test("a server whose certificate is not for its name is not believed", async () => {
    const { heard } = await listen({ endpoints: [`https://localhost:${door.port}`] });
    await heard.until("a reason", () => isDown(heard));
    expect(heard.order).toEqual([]);
  });

  test("a server whose certificate is not for its address is not believed", async () => {
    const other = await Door.open(await etcd.door(), "127.0.0.2");
    const { heard } = await listen({ endpoints: [`https://127.0.0.2:${other.port}`] });
    await heard.until("a reason", () => isDown(heard));
    other.shut();
    expect(heard.order).toEqual([]);
  });

  test("a server of another authority is not believed", async () => {
    const { heard } = await listen({ caFile: "" });
    await heard.until("a reason", () => isDown(heard));
    expect(heard.order).toEqual([]);
  });

  test("a client without a certificate is told so", async () => {
    const { heard } = await listen({ certFile: "", keyFile: "" });
    await heard.until("a reason", () => isDown(heard));
    expect(heard.order).toEqual([]);
  });

  test("a file that is not there is named", async () => {
    const { heard } = await listen({ certFile: "/nonexistent/client.crt" });
    await heard.until("a reason", () => isDown(heard));
    expect(heard.connections.join()).toContain("/nonexistent/client.crt");
  });
});
