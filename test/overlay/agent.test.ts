import { expect, test } from "vitest";
import { parseAddress } from "../../lib/net/address.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import { Agent, type AgentOptions } from "../../overlay/agent.ts";
import type { Fabric, FabricReport } from "../../overlay/kernel/fabric.ts";
import { OverlayMetrics } from "../../overlay/metrics.ts";
import type { Claim, Lease, NetworkConfig, Underlay } from "../../overlay/types.ts";
import { type FakeClock, fakeClock } from "../lib/daemon/clock.ts";

const NETWORK: NetworkConfig = {
  networks: { 4: parseCidr("10.244.0.0/16") },
  pools: {},
  backend: { type: "host-gw", mtu: undefined },
  nftables: undefined,
};
const UNDERLAY: Underlay = {
  ...{ index: 2, name: "eth0", mtu: 1500 },
  ...{ addresses: { 4: parseAddress("192.0.2.1") }, publicAddresses: { 4: parseAddress("192.0.2.1") } },
};

function lease(n: number, subnet = `10.244.${n}.0/24`): Lease {
  const part = { subnet: parseCidr(subnet), address: parseAddress(`192.0.2.${n}`), mac: undefined };
  return { key: `h${n}`, host: `host-${n}`, backend: "host-gw", vni: undefined, parts: { 4: part } };
}

interface Stage {
  readonly agent: Agent;
  readonly clock: FakeClock;
  /** What was asked of the kernel, the packet filter, the source and the files, in order. */
  readonly asked: string[];
  readonly logged: string[];
  underlay: Underlay | undefined;
  protects: boolean;
  pinned: boolean;
  /** Thrown by the kernel. */
  refusal: Error | undefined;
  /** Thrown where this host's claim is made, as on a full disk. */
  unclaimed: Error | undefined;
  /** How often an interface was looked for. */
  looks: number;
}

function stage(): Stage {
  const clock = fakeClock();
  const asked: string[] = [];
  const logged: string[] = [];
  const nothing: FabricReport = { repairs: [], failures: new Map() };
  const ask = (text: string): FabricReport => {
    asked.push(text);
    return nothing;
  };
  const fabric: Fabric = {
    configure({ own }) {
      if (stage.refusal !== undefined) throw stage.refusal;
      return ask(`configure ${own[4]?.subnet.address.value === lease(1).parts[4]?.subnet.address.value ? 1 : "other"}`);
    },
    replace: (peers) => ask(`replace ${peers.map(({ key }) => key).join()}`),
    upsert: ({ key }) => ask(`upsert ${key}`),
    remove: (key) => ask(`remove ${key}`),
    poll: () => ({ ...nothing, underlayChanged: false }),
    compare: () => nothing,
    way: () => ({}),
    ...{ devices: {}, mtu: 1500, close() {} },
  };
  const say = (message: string, fields?: object) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const options: AgentOptions = {
    log: { info() {}, debug() {}, warn: say, error: say },
    clock,
    source: {
      name: "the file",
      ...{ start() {}, stop: async () => {}, release: async () => {} },
      claim: () => void asked.push("claim"),
      ready: (ready) => void asked.push(`ready ${ready}`),
    },
    fabric,
    metrics: new OverlayMetrics(),
    ...{ blackholeRoute: false, bridge: "cni0" },
    chooseUnderlay() {
      stage.looks++;
      if (stage.underlay === undefined) throw new Error("no default route");
      return stage.underlay;
    },
    claimOf(): Claim {
      if (stage.unclaimed !== undefined) throw stage.unclaimed;
      return { host: "host-1", backend: "host-gw", vni: undefined, parts: {}, previous: {}, pinned: stage.pinned };
    },
    protect: async () => {
      asked.push("protect");
      return stage.protects;
    },
    publish: () => void asked.push("publish"),
    tell() {},
  };
  const stage: Stage = {
    ...{ agent: new Agent(options), clock, asked, logged },
    ...{ underlay: UNDERLAY, protects: true, pinned: false, refusal: undefined, unclaimed: undefined, looks: 0 },
  };
  return stage;
}

/** With its lease, and hosts 2 and 3. */
async function running(): Promise<Stage> {
  const made = stage();
  made.agent.network(NETWORK);
  made.agent.leases([lease(1), lease(2), lease(3)]);
  made.agent.own({ kind: "held", lease: lease(1) });
  await made.clock.pass(0);
  return made;
}

test("the kernel first, then the packet filter, then the files, then others are told", async () => {
  const { asked, agent } = await running();
  expect(asked).toEqual(["claim", "configure 1", "replace h2,h3", "protect", "publish", "ready true"]);
  expect(agent.view.trouble).toBeUndefined();
});

test("in whatever order the source tells, the kernel is touched once all is known", async () => {
  const { agent, asked, clock } = stage();
  agent.own({ kind: "held", lease: lease(1) });
  agent.network(NETWORK);
  expect(asked).toEqual(["claim"]);
  agent.leases([lease(1), lease(2)]);
  await clock.pass(0);
  expect(asked).toEqual(["claim", "configure 1", "replace h2", "protect", "publish", "ready true"]);
});

test("a change costs itself alone", async () => {
  const { agent, asked } = await running();
  asked.length = 0;
  agent.changed(lease(4));
  agent.gone("h2");
  agent.changed({ ...lease(3), parts: { 4: { ...lease(3).parts[4], address: parseAddress("192.0.2.33") } } } as Lease);
  expect(asked).toEqual(["upsert h4", "remove h2", "upsert h3"]);
});

test("a lease that is taken by somebody: the kernel stays as it is, STATUS 51 names the holder, and it is taken back", async () => {
  const { agent, asked, clock } = await running();
  asked.length = 0;
  agent.own({ kind: "taken", subnets: { 4: parseCidr("10.244.1.0/24") }, holder: "host-9" });
  expect(asked).toEqual(["ready false"]);
  expect(agent.view.trouble).toMatchObject({ code: 51, message: expect.stringContaining("10.244.1.0/24") });
  expect(agent.view.trouble?.message).toContain("host-9");
  agent.own({ kind: "held", lease: lease(1) });
  await clock.pass(0);
  expect(agent.view.trouble).toBeUndefined();
  expect(asked.slice(1)).toEqual(["configure 1", "replace h2,h3", "protect", "publish", "ready true"]);
});

test("a lease that is taken is let go once the last container is gone", async () => {
  const made = await running();
  made.pinned = true;
  made.agent.own({ kind: "taken", subnets: { 4: parseCidr("10.244.1.0/24") }, holder: "host-9" });
  made.asked.length = 0;
  await made.clock.pass(20_000);
  expect(made.asked).toEqual([]);
  made.pinned = false;
  await made.clock.pass(20_000);
  expect(made.asked).toEqual(["claim"]);
});

test("another subnet is taken while no container has an address of ours, and claimed against once one does", async () => {
  const made = await running();
  const { agent, asked, clock } = made;
  asked.length = 0;
  agent.own({ kind: "held", lease: lease(1, "10.244.9.0/24") });
  await clock.pass(0);
  expect(asked).toEqual(["configure other", "replace h2,h3", "protect", "publish", "ready true"]);
  asked.length = 0;
  made.pinned = true;
  agent.own({ kind: "held", lease: lease(1) });
  await clock.pass(0);
  expect(asked).toEqual(["claim"]);
  expect(agent.view.own?.parts[4]?.subnet).toEqual(parseCidr("10.244.9.0/24"));
  // Ours again, with another end.
  agent.own({ kind: "held", lease: lease(1, "10.244.9.0/24"), expires: 1 });
  expect(asked).toEqual(["claim"]);
});

test("a family that only our lease has is left out, and a lease with no other is none", async () => {
  const six = { subnet: parseCidr("fd00::/64"), address: parseAddress("fd50::1"), mac: undefined };
  const { agent, clock } = stage();
  agent.network(NETWORK);
  agent.leases([]);
  agent.own({ kind: "held", lease: { ...lease(1), parts: { 6: six } } });
  expect(agent.view.trouble).toMatchObject({ code: 50, message: expect.stringContaining("no subnet") });
  agent.own({ kind: "held", lease: { ...lease(1), parts: { ...lease(1).parts, 6: six } } });
  await clock.pass(0);
  expect(agent.view.own).toEqual(lease(1));
  expect(agent.view.trouble).toBeUndefined();
});

test("refused at the start: STATUS 50 with the reason, and the kernel is not touched", () => {
  const { agent, asked } = stage();
  agent.network(NETWORK);
  agent.leases([]);
  agent.own({ kind: "refused", reason: "192.0.2.1 is host-2's" });
  expect(asked).toEqual(["claim", "ready false"]);
  expect(agent.view.trouble).toEqual({ code: 50, message: "192.0.2.1 is host-2's" });
});

test("an underlay that is not there yet is waited for, and said once", async () => {
  const made = stage();
  made.underlay = undefined;
  made.agent.network(NETWORK);
  await made.clock.pass(5000);
  expect(made.logged.filter((line) => line.includes("no interface"))).toHaveLength(1);
  expect(made.agent.view.trouble).toMatchObject({ code: 50, message: "no default route" });
  made.underlay = UNDERLAY;
  await made.clock.pass(1000);
  expect(made.asked).toEqual(["claim"]);
});

test("an underlay with another address is offered, and what peers need is computed anew", async () => {
  const made = await running();
  made.asked.length = 0;
  made.agent.stand();
  expect(made.asked).toEqual([]);
  made.underlay = { ...UNDERLAY, addresses: { 4: parseAddress("192.0.2.77") } };
  made.agent.stand();
  expect(made.asked).toEqual(["claim", "configure 1", "replace h2,h3"]);
});

test("an underlay that goes away takes nothing with it", async () => {
  const made = await running();
  made.asked.length = 0;
  made.underlay = undefined;
  made.agent.stand();
  await made.clock.pass(3000);
  expect(made.asked).toEqual([]);
  expect(made.agent.view.trouble).toBeUndefined();
});

test("a kernel that refuses is asked again, and containers wait meanwhile", async () => {
  const made = stage();
  made.refusal = new Error("the VNI is taken");
  made.agent.network(NETWORK);
  made.agent.leases([lease(1)]);
  made.agent.own({ kind: "held", lease: lease(1) });
  expect(made.agent.view.trouble).toEqual({ code: 50, message: "the VNI is taken" });
  made.refusal = undefined;
  await made.clock.pass(5000);
  expect(made.asked).toEqual(["claim", "configure 1", "replace ", "protect", "publish", "ready true"]);
});

test("a packet filter that takes no rules keeps containers away until it does", async () => {
  const made = stage();
  made.protects = false;
  made.agent.network(NETWORK);
  made.agent.leases([lease(1)]);
  made.agent.own({ kind: "held", lease: lease(1) });
  await made.clock.pass(0);
  expect(made.asked).not.toContain("publish");
  expect(made.agent.view.trouble?.message).toContain("packet filter");
  made.protects = true;
  await made.clock.pass(5000);
  expect(made.asked.slice(-2)).toEqual(["publish", "ready true"]);
});

test("a network whose configuration changes ends the agent, to be started anew", async () => {
  const { agent, asked } = await running();
  asked.length = 0;
  agent.network({ ...NETWORK });
  agent.network({ ...NETWORK, backend: { type: "host-gw", mtu: 1400 } });
  expect(await agent.ended).toBe(1);
  // What the source goes on to tell is of the network to come.
  agent.leases([lease(1), lease(4)]);
  agent.changed(lease(5));
  agent.gone("h2");
  agent.malformed("h3", "it has no subnet");
  agent.own({ kind: "refused", reason: "nobody gives us any" });
  expect(asked).toEqual([]);
  expect(agent.view.trouble).toBeUndefined();
});

test("records that cannot be read and leases that cannot be used are listed with the reason, until they are mended", async () => {
  const { agent } = await running();
  agent.malformed("h5", "PublicIP is no address");
  agent.changed(lease(6, "10.244.2.0/24"));
  expect([...agent.view.refused]).toEqual([
    ["h5", "PublicIP is no address"],
    ["h6", "10.244.2.0/24 of host-6 overlaps 10.244.2.0/24 of host-2"],
  ]);
  // The lease of before is still refused; what has to be corrected is the record.
  agent.malformed("h6", "PublicIP is no address, either");
  expect(agent.view.refused.get("h6")).toBe("PublicIP is no address, either");
  agent.changed(lease(5));
  agent.gone("h6");
  expect([...agent.view.refused]).toEqual([]);
});

test("a claim that cannot be made, as on a full disk, is made as soon as it can", async () => {
  const made = stage();
  const { agent, asked, clock } = made;
  made.unclaimed = new Error("no space left");
  agent.network(NETWORK);
  expect(agent.view.trouble).toMatchObject({ code: 50, message: "no space left" });
  expect(asked).toEqual([]);
  made.unclaimed = undefined;
  await clock.pass(1000);
  expect(asked).toEqual(["claim"]);
});

test("however often it is told that something has changed, an underlay that is away is looked for once a second", async () => {
  const made = await running();
  const { agent, clock } = made;
  made.underlay = undefined;
  for (let i = 0; i < 20; i++) agent.stand();
  made.looks = 0;
  for (let i = 0; i < 10; i++) await clock.pass(1000);
  expect(made.looks).toBe(10);
});

test("what the source has against our subnets is not forgotten when the kernel and the files are done", async () => {
  const made = await running();
  const { agent, asked, clock } = made;
  asked.length = 0;
  made.underlay = { ...UNDERLAY, mtu: 9000 };
  agent.stand();
  agent.own({ kind: "refused", reason: "192.0.2.1 is the address of another host" });
  await clock.pass(0);
  expect(agent.view.trouble).toEqual({ code: 51, message: "192.0.2.1 is the address of another host" });
  expect(asked).not.toContain("ready true");
  agent.own({ kind: "held", lease: lease(1) });
  await clock.pass(0);
  expect(agent.view.trouble).toBeUndefined();
});

test("what the kernel refuses of a repair is told once", async () => {
  const { agent, logged } = await running();
  logged.length = 0;
  const failures = new Map([["", "VNI 1 on port 8472 is that of theirs"]]);
  agent.repaired({ repairs: [], failures });
  agent.repaired({ repairs: [], failures: new Map(failures) });
  expect(logged).toEqual([expect.stringContaining("that of theirs")]);
});
