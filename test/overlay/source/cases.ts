/**
 * What every source of peers does, whatever it reads: run by the tests of each, on a world of its own kind.
 *
 *     sourceCases("etcd", () => openEtcdWorld());
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import type { Source } from "../../../overlay/source/source.ts";
import type { Claim } from "../../../overlay/types.ts";
import { Recorder } from "./recorder.ts";

/** A host as somebody wrote it down. */
export interface WrittenHost {
  readonly name: string;
  /** On the underlay: `192.0.2.2`. */
  readonly address: string;
  /** `10.244.2.0/24`. */
  readonly subnet: string;
  readonly mac: string;
}

/** What a source reads, and how a test changes it. One a test. */
export interface SourceWorld {
  /** Whether hosts write about themselves there; a file only its author changes. */
  readonly hostsWrite: boolean;
  /** Puts the network's config there, flannel's net-conf.json as an object; or text in its place that is none. */
  setNetwork(config: object | string): Promise<void>;
  /** Writes a host down, new or changed, as its own agent would or whoever lists the hosts. */
  setHost(host: WrittenHost): Promise<void>;
  removeHost(name: string): Promise<void>;
  /** Puts something there in the place of a host that was written, which cannot be read as one. */
  spoilHost(name: string): Promise<void>;
  /** Gives a subnet to the host that is about to claim one, where hosts do not choose for themselves. */
  assign(host: WrittenHost): Promise<void>;
  /** What hosts read can be read no more, and can be again. */
  lose(): Promise<void>;
  regain(): Promise<void>;
  /** The source of the host of this name, not started. */
  open(nodeName: string, options?: { readonly replaceLease?: boolean }): Source;
  close(): Promise<void>;
}

export const NETWORK = { Network: "10.244.0.0/16", Backend: { Type: "vxlan", VNI: 1 } };

export const A: WrittenHost = {
  name: "a",
  address: "192.0.2.1",
  subnet: "10.244.1.0/24",
  mac: "0a:00:00:00:00:01",
};
export const B: WrittenHost = { name: "b", address: "192.0.2.2", subnet: "10.244.2.0/24", mac: "0a:00:00:00:00:02" };
export const C: WrittenHost = { name: "c", address: "192.0.2.3", subnet: "10.244.3.0/24", mac: "0a:00:00:00:00:03" };

/** What the host offers; it had `subnet` before unless told otherwise. */
export function claimOf(host: WrittenHost, more: Partial<Claim> = {}): Claim {
  return {
    host: host.name,
    backend: "vxlan",
    vni: 1,
    parts: { 4: { address: parseAddress(host.address), mac: host.mac } },
    previous: { 4: parseCidr(host.subnet) },
    pinned: false,
    ...more,
  };
}

/** Registers the cases. `open` makes a world with nothing in it. */
export function sourceCases(name: string, open: () => Promise<SourceWorld>): void {
  let world: SourceWorld;
  let sources: Source[] = [];

  beforeEach(async () => {
    world = await open();
  });
  afterEach(async () => {
    await Promise.all(sources.map((source) => source.stop()));
    sources = [];
    await world.close();
  });

  /** Starts the source of a host and listens to it. */
  function listen(nodeName: string, options: { readonly replaceLease?: boolean } = {}) {
    const source = world.open(nodeName, options);
    sources.push(source);
    const heard = new Recorder();
    source.start(heard);
    return { source, heard };
  }

  test(`${name}: the network is told first, then all hosts at once`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign(A);
    for (const host of [B, C]) await world.setHost(host);
    const { heard } = listen("a");
    await heard.until("two hosts", () => ["b 10.244.2.0/24", "c 10.244.3.0/24"].every((h) => heard.hosts.includes(h)));
    expect(heard.order.slice(0, 2)).toEqual(["network", "leases"]);
    expect(heard.config?.backend).toMatchObject({ type: "vxlan", vni: 1 });
    await heard.until("connection", () => heard.connections.length > 0);
    expect(heard.connections).toEqual(["up"]);
    const b = [...heard.all.values()].find(({ host }) => host === "b");
    expect(b).toMatchObject({
      backend: "vxlan",
      vni: 1,
      parts: { 4: { mac: B.mac, address: parseAddress(B.address) } },
    });
  });

  test(`${name}: a host that comes, changes and goes is told of`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign(A);
    await world.setHost(B);
    const { heard } = listen("a");
    await heard.until("b", () => heard.hosts.includes("b 10.244.2.0/24"));
    await world.setHost(C);
    await heard.until("c", () => heard.hosts.includes("c 10.244.3.0/24"));
    await world.setHost({ ...C, address: "192.0.2.33" });
    const addressOfC = () => [...heard.all.values()].find(({ host }) => host === "c")?.parts[4]?.address;
    await heard.until("c's new address", () => addressOfC()?.value === parseAddress("192.0.2.33").value);
    await world.removeHost("c");
    await heard.until("c gone", () => !heard.hosts.includes("c 10.244.3.0/24"));
    expect(heard.hosts).toContain("b 10.244.2.0/24");
    expect([...heard.bad]).toEqual([]);
  });

  test(`${name}: a claim is answered with a subnet, which others are told of`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign(A);
    await world.setHost(B);
    const { source, heard } = listen("a");
    source.claim(claimOf(A));
    const { lease } = await heard.answered("held");
    expect(lease).toMatchObject({ host: "a", backend: "vxlan", vni: 1 });
    expect(lease.parts[4]).toEqual({ subnet: parseCidr(A.subnet), address: parseAddress(A.address), mac: A.mac });
    const other = listen("b");
    await other.heard.until("a at b", () => other.heard.hosts.includes("a 10.244.1.0/24"));
    await heard.until("our own at ourselves", () => heard.all.has(lease.key));
  });

  test(`${name}: a host that is started again with its address and MAC has the same subnet`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign(A);
    const first = listen("a");
    first.source.claim(claimOf(A));
    const before = await first.heard.answered("held");
    await first.source.stop();
    const told = first.heard.order.length;
    const second = listen("a");
    // A host that has lost its disk but for the MAC knows of no previous subnet.
    second.source.claim(claimOf(A, { previous: {} }));
    const after = await second.heard.answered("held");
    expect(after.lease).toEqual(before.lease);
    expect(first.heard.order).toHaveLength(told);
  });

  test(`${name}: a record that cannot be read is named; what it held before stays, and the others go on`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign(A);
    for (const host of [B, C]) await world.setHost(host);
    const { heard } = listen("a");
    await heard.until(
      "b and c",
      () => heard.hosts.includes("b 10.244.2.0/24") && heard.hosts.includes("c 10.244.3.0/24"),
    );
    await world.spoilHost("b");
    await heard.until("b malformed", () => heard.bad.size > 0);
    await world.setHost({ ...C, address: "192.0.2.33" });
    await heard.until("c changed", () =>
      [...heard.all.values()].some(({ parts }) => parts[4]?.address.value === parseAddress("192.0.2.33").value),
    );
    expect(heard.hosts).toContain("b 10.244.2.0/24");
    await world.setHost({ ...B, address: "192.0.2.22" });
    await heard.until("b again", () =>
      [...heard.all.values()].some(({ parts }) => parts[4]?.address.value === parseAddress("192.0.2.22").value),
    );
  });

  test(`${name}: a network that cannot be read is named; once it can be, it is told`, async () => {
    await world.setNetwork({ ...NETWORK, Network: "10.244.0.0/33" });
    await world.assign(A);
    await world.setHost(B);
    const { heard } = listen("a");
    await heard.until("a reason", () => heard.bad.size > 0);
    expect([...heard.bad.values()].join()).toMatch(/Network/);
    expect(heard.order).not.toContain("network");
    await world.setNetwork(NETWORK);
    await heard.until("b", () => heard.hosts.includes("b 10.244.2.0/24"));
    expect(heard.order).toContain("network");
  });

  test(`${name}: what cannot be reached is told, takes nothing back, and is read again once it can be`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign(A);
    await world.setHost(B);
    const { heard } = listen("a");
    await heard.until("b", () => heard.hosts.includes("b 10.244.2.0/24"));
    await world.lose();
    await heard.until("no connection", () => heard.connections.at(-1)?.startsWith("down: ") === true);
    expect(heard.hosts).toContain("b 10.244.2.0/24");
    await world.regain();
    await heard.until("connection", () => heard.connections.at(-1) === "up");
    await world.setHost(C);
    await heard.until("c", () => heard.hosts.includes("c 10.244.3.0/24"));
    expect(heard.order).not.toContain("gone");
  });

  test(`${name}: not reachable at the start, it is told and read as soon as it is`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign(A);
    await world.setHost(B);
    await world.lose();
    const { source, heard } = listen("a");
    source.claim(claimOf(A));
    await heard.until("no connection", () => heard.connections.at(-1)?.startsWith("down: ") === true);
    await world.regain();
    await heard.answered("held");
    await heard.until("b", () => heard.hosts.includes("b 10.244.2.0/24"));
  });

  test(`${name}: containers' subnet that is another host's is taken, by name, and ours again once it is free`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign({ ...A, subnet: "10.244.9.0/24" });
    await world.setHost({ ...B, subnet: A.subnet });
    const { source, heard } = listen("a");
    source.claim(claimOf(A, { pinned: true }));
    const taken = await heard.answered("taken");
    expect(taken.holder).toContain("b");
    expect(taken.subnets[4] && formatCidr(taken.subnets[4])).toBe(A.subnet);
    await world.removeHost("b");
    await world.assign(A);
    const { lease } = await heard.answered("held");
    expect(lease.parts[4]?.subnet).toEqual(parseCidr(A.subnet));
  });

  test(`${name}: row 18: another host that uses our address is refused by name`, async () => {
    await world.setNetwork(NETWORK);
    await world.assign(A);
    await world.setHost({ ...B, address: A.address });
    const { source, heard } = listen("a");
    source.claim(claimOf(A));
    const { reason } = await heard.answered("refused");
    expect(reason).toContain(A.address);
    expect(reason).toContain("b");
  });
}
