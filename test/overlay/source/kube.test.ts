import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../lib/daemon/clock.ts";
import type { Log } from "../../../lib/daemon/log.ts";
import { REFLECTOR_TIMES } from "../../../lib/kube/reflector.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { kubeSource } from "../../../overlay/source/kube.ts";
import type { Source } from "../../../overlay/source/source.ts";
import type { Claim } from "../../../overlay/types.ts";
import { A, B, C, claimOf, NETWORK, sourceCases } from "./cases.ts";
import { KubeApi } from "./kubeapi.ts";
import { flannelAnnotations, KubeWorld, type NodeStore, PREFIX } from "./kubeworld.ts";
import { Recorder } from "./recorder.ts";

let warnings: string[];
const log: Log = {
  info() {},
  warn: (message, fields = {}) => warnings.push([message, ...Object.values(fields)].join(": ")),
  error() {},
  debug() {},
};
const TIMES = { ...REFLECTOR_TIMES, backoff: { firstMs: 20, maxMs: 100 }, relistMs: 20, settleMs: 50, deniedMs: 50 };

/** On loopback, and without its server. */
class FakeStore implements NodeStore {
  readonly api = new KubeApi();
  setNetworkUnavailable = true;

  async create(name: string, podCIDRs: readonly string[]): Promise<void> {
    this.api.put({ metadata: { name, annotations: {} }, spec: { podCIDR: podCIDRs[0], podCIDRs }, status: {} });
  }

  async annotate(name: string, annotations: Readonly<Record<string, string | null>>): Promise<void> {
    this.api.patch(name, { metadata: { annotations } });
  }

  async delete(name: string): Promise<void> {
    this.api.delete(name);
  }

  lose(): Promise<void> {
    return this.api.close();
  }

  regain(): Promise<void> {
    return this.api.listen();
  }

  open(nodeName: string, netConfPath: string): Source {
    const { setNetworkUnavailable } = this;
    const settings = { kind: "kube", kubeconfig: "", master: this.api.url, annotationPrefix: PREFIX } as const;
    return kubeSource(
      { ...settings, netConfPath, setNetworkUnavailable, nodeName },
      { log, clock: systemClock, times: TIMES },
    );
  }

  close(): Promise<void> {
    return this.api.close();
  }
}

async function openFake() {
  warnings = [];
  const store = new FakeStore();
  await store.api.listen();
  return { store, api: store.api, world: new KubeWorld(store) };
}

describe("the cases of all sources", () => {
  sourceCases("kube", async () => (await openFake()).world);
});

let fake: Awaited<ReturnType<typeof openFake>>;
let sources: Source[];
beforeEach(async () => {
  fake = await openFake();
  sources = [];
  await fake.world.setNetwork(NETWORK);
});
afterEach(async () => {
  for (const source of sources) await source.stop();
  await fake.world.close();
});

function listen(nodeName: string, claim?: Claim) {
  const source = fake.world.open(nodeName);
  sources.push(source);
  const heard = new Recorder();
  source.start(heard);
  if (claim !== undefined) source.claim(claim);
  return { source, heard };
}

const patched = () => fake.api.requests.filter((request) => request.startsWith("PATCH")).length;
const condition = (name: string) => {
  const { conditions } = Object(fake.api.node(name)?.status);
  return Array.isArray(conditions) ? conditions.find(({ type }) => type === "NetworkUnavailable") : undefined;
};

describe("what is written", () => {
  test("is what flannel writes, to the byte, and by the status of the Node alone", async () => {
    await fake.world.assign(A);
    const { heard } = listen("a", claimOf(A));
    await heard.answered("held");
    expect(fake.api.annotations("a")).toEqual(flannelAnnotations(A));
    expect(fake.api.annotations("a")[`${PREFIX}backend-data`]).toBe('{"VNI":1,"VtepMAC":"0a:00:00:00:00:01"}');
    expect(fake.api.requests.filter((request) => !request.startsWith("GET /api/v1/nodes"))).toEqual([
      "PATCH /api/v1/nodes/a/status",
    ]);
  });

  test("with host-gw and of both families, is too", async () => {
    await fake.world.setNetwork({
      ...{ Network: "10.244.0.0/16", IPv6Network: "fd00:244::/48", EnableIPv6: true, Backend: { Type: "host-gw" } },
    });
    await fake.store.create("a", [A.subnet, "fd00:244:0:1::/64"]);
    const part = (address: string) => ({ address: parseAddress(address), mac: undefined });
    const parts = { 4: part(A.address), 6: part("fd50::1") };
    const { heard } = listen("a", claimOf(A, { backend: "host-gw", vni: undefined, parts }));
    const { lease } = await heard.answered("held");
    expect(fake.api.annotations("a")).toEqual({
      [`${PREFIX}kube-subnet-manager`]: "true",
      [`${PREFIX}backend-type`]: "host-gw",
      [`${PREFIX}backend-data`]: "null",
      [`${PREFIX}backend-v6-data`]: "null",
      [`${PREFIX}public-ip`]: "192.0.2.1",
      [`${PREFIX}public-ipv6`]: "fd50::1",
    });
    expect(heard.all.get("a")).toEqual(lease);
    expect(lease.parts[6]?.subnet).toEqual(parseCidr("fd00:244:0:1::/64"));
  });

  test("is nothing where all of it is there, as after a start of the agent anew or in flannel's place", async () => {
    await fake.world.setHost(A);
    const { heard } = listen("a", claimOf(A));
    await heard.answered("held");
    expect(patched()).toBe(0);
  });

  test("row 15: is written again when somebody changes or removes it", async () => {
    await fake.world.assign(A);
    const { heard } = listen("a", claimOf(A));
    await heard.answered("held");
    await Bun.sleep(1100);
    await fake.store.annotate("a", { [`${PREFIX}backend-data`]: '{"VNI":1,"VtepMAC":"0a:00:00:00:00:99"}' });
    await heard.until(
      "the MAC",
      () => fake.api.annotations("a")[`${PREFIX}backend-data`]?.toString().endsWith(':01"}') ?? false,
    );
    await fake.world.removeHost("a");
    await fake.world.assign(A);
    await heard.until("all again", () => Bun.deepEquals(fake.api.annotations("a"), flannelAnnotations(A)));
    await heard.until("told again", () => heard.answer?.kind === "held");
    expect(heard.answers.map(({ kind }) => kind)).toEqual(["held", "refused", "held"]);
  });

  test("is not written for ever against another agent that takes this Node for its own", async () => {
    await fake.world.assign(A);
    const one = listen("a", claimOf(A)).heard;
    await one.answered("held");
    const two = listen("a", claimOf({ ...A, address: "192.0.2.77" })).heard;
    await two.answered("held");
    await Bun.sleep(3000);
    expect(patched()).toBeLessThan(12);
    expect(warnings).toContain("what this host writes on its Node does not stay there: writing it again");
  });

  test("that cannot be written is tried again, and told with the right that it takes", async () => {
    await fake.world.assign(A);
    fake.api.refused.set("PATCH", 403);
    const { heard } = listen("a", claimOf(A));
    const { reason } = await heard.answered("refused");
    expect(reason).toContain("a role with the verb patch on nodes/status is needed");
    fake.api.refused.set("PATCH", 500);
    await heard.until("a warning", () => warnings.some((warning) => warning.includes("500")));
    fake.api.refused.clear();
    await heard.answered("held");
  });

  test("for a network that has lost a family is nothing of that family any more", async () => {
    await fake.world.setHost(A);
    await fake.store.annotate("a", { [`${PREFIX}public-ipv6`]: "fd50::1", [`${PREFIX}backend-v6-data`]: "null" });
    const { heard } = listen("a", claimOf(A));
    await heard.answered("held");
    expect(fake.api.annotations("a")).toEqual(flannelAnnotations(A));
  });

  test("goes when the lease is given up, and nothing else does", async () => {
    await fake.world.assign(A);
    await fake.store.annotate("a", { "example.com/mine": "1", [`${PREFIX}public-ip-overwrite`]: "203.0.113.1" });
    const { source, heard } = listen("a", claimOf(A));
    await heard.answered("held");
    source.ready(true);
    await heard.until("the condition", () => condition("a") !== undefined);
    await source.release(claimOf(A));
    expect(fake.api.annotations("a")).toEqual({
      "example.com/mine": "1",
      [`${PREFIX}public-ip-overwrite`]: "203.0.113.1",
    });
    expect(condition("a")).toBeUndefined();
    await heard.until("gone", () => !heard.all.has("a"));
    await Bun.sleep(100);
    expect(Object.keys(fake.api.annotations("a"))).toHaveLength(2);
  });

  test("can be given up by a source that was never started, and of a Node that is no more", async () => {
    await fake.world.setHost(A);
    await fake.world.open("a").release(claimOf(A));
    expect(fake.api.annotations("a")).toEqual({});
    await fake.world.removeHost("a");
    await fake.world.open("a").release(claimOf(A));
  });
});

describe("NetworkUnavailable", () => {
  test("becomes False once the network works, True when it does no more, and stays on stop", async () => {
    await fake.world.assign(A);
    const { source, heard } = listen("a", claimOf(A));
    await heard.answered("held");
    expect(condition("a")).toBeUndefined();
    source.ready(true);
    await heard.until("False", () => condition("a")?.status === "False");
    expect(condition("a")).toMatchObject({
      reason: "TsnetIsUp",
      lastTransitionTime: expect.stringMatching(/T[\d:]+Z$/),
    });
    source.ready(false);
    await heard.until("True", () => condition("a")?.status === "True");
    source.ready(true);
    await heard.until("False again", () => condition("a")?.status === "False");
    await source.stop();
    expect(condition("a")?.status).toBe("False");
  });

  test("that flannel has made False already is left as it is", async () => {
    await fake.world.setHost(A);
    const flannels = { type: "NetworkUnavailable", status: "False", reason: "FlannelIsUp" };
    fake.api.patch("a", { status: { conditions: [flannels, { type: "Ready", status: "True" }] } });
    const { source, heard } = listen("a", claimOf(A));
    await heard.answered("held");
    source.ready(true);
    await Bun.sleep(100);
    expect(patched()).toBe(0);
    await source.release(claimOf(A));
    expect(condition("a")).toEqual(flannels);
  });

  test("is left alone where the settings say so", async () => {
    await fake.world.assign(A);
    fake.store.setNetworkUnavailable = false;
    const { source, heard } = listen("a", claimOf(A));
    await heard.answered("held");
    source.ready(true);
    await Bun.sleep(100);
    expect(condition("a")).toBeUndefined();
  });
});

describe("a claim", () => {
  test("is refused while there is no Node, and while it has no podCIDR, with the way out", async () => {
    const { heard } = listen("a", claimOf(A));
    await heard.until("a refusal", () => heard.answer?.kind === "refused");
    expect(heard.answer).toEqual({
      kind: "refused",
      reason: "there is no Node a: give the name of this host's with --node-name",
    });
    await fake.store.create("a", []);
    await heard.until("another", () => heard.answers.length === 2);
    expect(heard.answer).toEqual({
      kind: "refused",
      reason:
        "Node a has no podCIDR yet: kube-controller-manager gives it one with --allocate-node-cidrs --cluster-cidr=10.244.0.0/16",
    });
    await fake.store.delete("a");
    await fake.world.assign(A);
    await heard.answered("held");
  });

  test("is refused with a podCIDR that is not in the network, and nothing is written", async () => {
    await fake.world.assign({ ...A, subnet: "10.9.1.0/24" });
    const { heard } = listen("a", claimOf(A));
    const { reason } = await heard.answered("refused");
    expect(reason).toBe(
      "Node a by its podCIDRs gives this host 10.9.1.0/24, which is not in the network 10.244.0.0/16",
    );
    expect(patched()).toBe(0);
  });

  test("tells others the address that the Node's operator has written over it", async () => {
    await fake.world.assign(A);
    await fake.store.annotate("a", { [`${PREFIX}public-ip-overwrite`]: "203.0.113.1" });
    const { heard } = listen("a", claimOf(A));
    const { lease } = await heard.answered("held");
    expect(lease.parts[4]?.address).toEqual(parseAddress("203.0.113.1"));
    expect(fake.api.annotations("a")[`${PREFIX}public-ip`]).toBe("203.0.113.1");
    await fake.store.annotate("a", { [`${PREFIX}public-ip-overwrite`]: "nowhere" });
    const { reason } = await heard.answered("refused");
    expect(reason).toBe('Node a: public-ip-overwrite: invalid IP address: "nowhere"');
  });

  test("with another address than before does not wait for connections of the former", async () => {
    await fake.world.assign(A);
    const { source, heard } = listen("a", claimOf(A));
    await heard.answered("held");
    fake.api.silence();
    source.claim(claimOf({ ...A, address: "192.0.2.11" }));
    await heard.until("the new lease", () => heard.answers.length === 2);
    expect(fake.api.annotations("a")[`${PREFIX}public-ip`]).toBe("192.0.2.11");
    await fake.world.setHost(B);
    await heard.until("b", () => heard.hosts.includes("b 10.244.2.0/24"));
    expect(heard.connections).toEqual(["up"]);
    expect(heard.order).not.toContain("gone");
  });

  test("says which address the Node's operator wants, where it has another", async () => {
    await fake.world.assign(A);
    await fake.store.annotate("a", { [`${PREFIX}node-public-ip`]: "192.0.2.99" });
    const { heard } = listen("a", claimOf(A));
    await heard.answered("held");
    expect(warnings).toEqual([
      "this host's Node asks for another address: give it with --public-ip: node-public-ip 192.0.2.99",
    ]);
  });

  test("row 18: of two hosts that take the same address at the same moment one has it, and the other takes its own back", async () => {
    await fake.world.assign(A);
    await fake.world.assign(B);
    const gate = Promise.withResolvers<void>();
    fake.api.gate = gate.promise;
    const one = listen("a", claimOf(A)).heard;
    const two = listen("b", claimOf({ ...B, address: A.address })).heard;
    await one.until("both to write", () => patched() === 2);
    gate.resolve();
    const { reason } = await two.answered("refused");
    expect(reason).toMatch(/^Node a has the address 192.0.2.1 of this host, too: choose another/);
    await one.answered("held");
    await one.until("b's annotations gone", () => Object.keys(fake.api.annotations("b")).length === 0);
    await Bun.sleep(100);
    expect(one.answer?.kind).toBe("held");
    expect(fake.api.annotations("a")).toEqual(flannelAnnotations(A));
    await fake.world.removeHost("a");
    await two.answered("held");
  });

  test("row 18: of two hosts that exchange their addresses each follows, as none goes on telling what it has no more", async () => {
    await fake.world.assign(A);
    await fake.world.assign(B);
    const [one, two] = [listen("a", claimOf(A)), listen("b", claimOf(B))];
    await one.heard.answered("held");
    await two.heard.answered("held");
    one.source.claim(claimOf({ ...A, address: B.address }, { present: [parseAddress(B.address)] }));
    two.source.claim(claimOf({ ...B, address: A.address }, { present: [parseAddress(A.address)] }));
    await one.heard.until("a follows", () => fake.api.annotations("a")[`${PREFIX}public-ip`] === B.address);
    await two.heard.until("b follows", () => fake.api.annotations("b")[`${PREFIX}public-ip`] === A.address);
    await one.heard.until("a is content", () => one.heard.answer?.kind === "held");
    await two.heard.until("b is content", () => two.heard.answer?.kind === "held");
  });

  test("row 18: is refused as often as it is made, and nothing is written", async () => {
    await fake.world.assign(A);
    await fake.world.setHost({ ...B, address: A.address });
    const { source, heard } = listen("a", claimOf(A));
    await heard.answered("refused");
    source.claim(claimOf(A));
    await heard.until("another answer", () => heard.answers.length === 2);
    expect(heard.answers.map(({ kind }) => kind)).toEqual(["refused", "refused"]);
    expect(patched()).toBe(0);
  });

  test("row 18: is not lost to a host that comes later", async () => {
    await fake.world.assign(C);
    const { heard } = listen("c", claimOf(C));
    await heard.answered("held");
    await fake.world.assign(B);
    const { reason } = await listen("b", claimOf({ ...B, address: C.address })).heard.answered("refused");
    expect(reason).toContain("Node c has the address 192.0.2.3");
    expect(heard.answers.map(({ kind }) => kind)).toEqual(["held"]);
  });
});

describe("a Node", () => {
  test("on which no agent has written is no host", async () => {
    await fake.world.assign(A);
    await fake.world.setHost(B);
    const { heard } = listen("a");
    await heard.until("b", () => heard.hosts.length === 1);
    await fake.store.annotate("b", { [`${PREFIX}kube-subnet-manager`]: null });
    await heard.until("b gone", () => heard.hosts.length === 0);
    expect([...heard.bad]).toEqual([]);
  });

  test("that only reports its health tells nothing", async () => {
    await fake.world.setHost(B);
    const { heard } = listen("a");
    await heard.until("b", () => heard.hosts.length === 1);
    fake.api.patch("b", { status: { conditions: [{ type: "Ready", status: "True" }] } });
    await fake.world.setHost(C);
    await heard.until("c", () => heard.hosts.length === 2);
    expect(heard.order).toEqual(["network", "leases", "changed"]);
  });

  test.each<readonly [string, Readonly<Record<string, string | null>>, string]>([
    ["no address", { "public-ip": null }, "it has no annotation public-ip"],
    ["an address that is none", { "public-ip": "192.0.2" }, 'public-ip: invalid IP address: "192.0.2"'],
    ["an address of no host", { "public-ip": "127.0.0.1" }, "public-ip is 127.0.0.1, which is no host's address"],
    ["no backend", { "backend-type": null }, "backend-type is absent: there are vxlan and host-gw"],
    ["another backend", { "backend-type": "udp" }, 'backend-type is "udp": there are vxlan and host-gw'],
    ["no VTEP", { "backend-data": null }, "backend-data is absent"],
    ["half a VTEP", { "backend-data": '{"VNI":1' }, "backend-data is no JSON: "],
    [
      "a VNI out of range",
      { "backend-data": '{"VNI":16777216,"VtepMAC":"0a:00:00:00:00:02"}' },
      "backend-data: VNI is 16777216, not",
    ],
    [
      "a group's MAC",
      { "backend-data": '{"VNI":1,"VtepMAC":"01:00:00:00:00:02"}' },
      "backend-data: VtepMAC: 01:00:00:00:00:02 is the MAC of a group",
    ],
    ["an IPv6 address and no subnet for it", { "public-ipv6": "fd50::2" }, "it has public-ipv6 and no IPv6 podCIDR"],
  ])("with %s is named with the annotation, and the others go on", async (_, annotations, reason) => {
    for (const host of [B, C]) await fake.world.setHost(host);
    const prefixed = Object.entries(annotations).map(([name, value]) => [`${PREFIX}${name}`, value]);
    await fake.store.annotate("b", Object.fromEntries(prefixed));
    const { heard } = listen("a");
    await heard.until("a refusal", () => heard.bad.size > 0);
    expect([...heard.bad]).toEqual([["b", expect.stringContaining(reason)]]);
    expect(heard.hosts).toEqual(["c 10.244.3.0/24"]);
  });

  test("of two families whose VNIs differ, or with two podCIDRs of one family, is named", async () => {
    await fake.store.create("b", ["10.244.2.0/24", "fd00:244:0:2::/64"]);
    await fake.store.annotate("b", {
      ...flannelAnnotations(B),
      [`${PREFIX}public-ipv6`]: "fd50::2",
      [`${PREFIX}backend-v6-data`]: '{"VNI":2,"VtepMAC":"0a:00:00:00:00:02"}',
    });
    await fake.store.create("c", ["10.244.3.0/24", "10.244.4.0/24"]);
    await fake.store.annotate("c", flannelAnnotations(C));
    const { heard } = listen("a");
    await heard.until("refusals", () => heard.bad.size === 2);
    expect([...heard.bad]).toEqual([
      ["b", "backend-data has VNI 1, backend-v6-data 2"],
      ["c", "it has more than one IPv4 podCIDR: 10.244.3.0/24, 10.244.4.0/24"],
    ]);
  });

  test("that left while nobody listened is gone after the next list", async () => {
    for (const host of [B, C]) await fake.world.setHost(host);
    const { heard } = listen("a");
    await heard.until("both", () => heard.hosts.length === 2);
    await fake.world.lose();
    await fake.world.removeHost("b");
    fake.api.forget();
    await fake.world.regain();
    await heard.until("b gone", () => heard.hosts.length === 1);
    expect(heard.order).toEqual(["network", "leases", "gone"]);
  });
});
