/**
 * The overlay's Kubernetes source against a real API server, with the rights of examples/overlay/kubernetes/rbac.yaml
 * and no others: the cases of all sources, and what only the real one shows.
 *
 * It runs in the test's own process, with waits cut down to what a test can bear, and reaches the server through a
 * door that the test shuts when the network is to fail.
 *
 * @module
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { REFLECTOR_TIMES } from "../../lib/kube/reflector.ts";
import { parseAddress } from "../../lib/net/address.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import { kubeSource } from "../../overlay/source/kube.ts";
import type { Source } from "../../overlay/source/source.ts";
import type { Claim } from "../../overlay/types.ts";
import { Door } from "../door.ts";
import { PROJECT } from "../e2e/host.ts";
import { A, B, C, claimOf, NETWORK, sourceCases } from "../overlay/source/cases.ts";
import { flannelAnnotations, KubeWorld, type NodeStore, PREFIX } from "../overlay/source/kubeworld.ts";
import { Recorder } from "../overlay/source/recorder.ts";
import { Api, type Manifest } from "./api.ts";
import { type Cluster, manifestsOf, startCluster } from "./cluster.ts";

const FOLDER = `${PROJECT}/examples/overlay/kubernetes`;
const ACCOUNT = { namespace: "kube-system", name: "tsnet-overlay" };
const ROLE = {
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRole",
  metadata: { name: "tsnet-overlay" },
} as const;
const SILENT: Log = { info() {}, warn() {}, error() {}, debug() {} };
const TIMES = { ...REFLECTOR_TIMES, backoff: { firstMs: 50, maxMs: 500 }, relistMs: 50, deniedMs: 200, settleMs: 100 };

let cluster: Cluster;
let directory: string;
beforeAll(async () => {
  cluster = await startCluster();
  for (const object of await manifestsOf(`${FOLDER}/rbac.yaml`)) await cluster.api.create(object);
  directory = mkdtempSync(join(tmpdir(), "tsnet-overlay-"));
  writeFileSync(join(directory, "ca.crt"), cluster.admin.ca);
  await renewToken();
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await cluster.stop();
});

async function renewToken(): Promise<void> {
  writeFileSync(join(directory, "token"), await cluster.api.token(ACCOUNT.namespace, ACCOUNT.name));
}

function node(name: string) {
  return { apiVersion: "v1", kind: "Node", metadata: { name } } as const;
}

/** Nodes of the real API server; the sources come in by the agents' own account, through the door. */
class RealStore implements NodeStore {
  readonly #door: Door;
  readonly #kubeconfig: string;

  private constructor(door: Door) {
    this.#door = door;
    this.#kubeconfig = join(directory, `config-${door.port}`);
    const server = `https://127.0.0.1:${door.port}`;
    const config = {
      "current-context": "x",
      clusters: [{ name: "x", cluster: { server, "certificate-authority": "ca.crt" } }],
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      users: [{ name: "x", user: { tokenFile: "token" } }],
    };
    writeFileSync(this.#kubeconfig, JSON.stringify(config));
  }

  static async open(): Promise<RealStore> {
    return new RealStore(await Door.open(Number(new URL(cluster.admin.server).port)));
  }

  async create(name: string, podCIDRs: readonly string[]): Promise<void> {
    await cluster.addNode({ name, addresses: [], podCIDRs });
  }

  async annotate(name: string, annotations: Readonly<Record<string, string | null>>): Promise<void> {
    await cluster.api.patch(node(name), { metadata: { annotations } });
  }

  async delete(name: string): Promise<void> {
    await cluster.api.delete(node(name));
  }

  async lose(): Promise<void> {
    this.#door.shut();
  }

  regain(): Promise<void> {
    return this.#door.reopen();
  }

  open(nodeName: string, netConfPath: string): Source {
    const settings = { kind: "kube", kubeconfig: this.#kubeconfig, master: "", annotationPrefix: PREFIX } as const;
    const tools = { log: SILENT, clock: systemClock, times: TIMES };
    return kubeSource({ ...settings, netConfPath, setNetworkUnavailable: true, nodeName }, tools);
  }

  async close(): Promise<void> {
    this.#door.shut();
    for (const { metadata } of await cluster.api.list("v1", "Node")) await this.delete(metadata.name);
  }
}

describe("the cases of all sources", () => {
  sourceCases("the real API server", async () => new KubeWorld(await RealStore.open()));
});

let world: KubeWorld;
let sources: Source[];
beforeEach(async () => {
  world = new KubeWorld(await RealStore.open());
  await world.setNetwork(NETWORK);
  sources = [];
});
afterEach(async () => {
  for (const source of sources) await source.stop();
  await world.close();
});

function listen(nodeName: string, claim?: Claim) {
  const source = world.open(nodeName);
  sources.push(source);
  const heard = new Recorder();
  source.start(heard);
  if (claim !== undefined) source.claim(claim);
  return { source, heard };
}

async function annotationsOf(name: string): Promise<unknown> {
  return (await cluster.api.get(node(name))).metadata.annotations;
}

async function conditionsOf(name: string): Promise<ReadonlyMap<string, { status: string; reason: string }>> {
  const { conditions = [] } = Object((await cluster.api.get(node(name))).status);
  return new Map([...conditions].map((condition) => [condition.type, condition]));
}

async function eventually(what: string, done: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`not within 15 s: ${what}`);
    await Bun.sleep(20);
  }
}

describe("with the rights of the example", () => {
  test("a lease is taken, changed, told to others and given up, and the Node's condition follows", async () => {
    await world.assign(A);
    const { source, heard } = listen("a", claimOf(A));
    await heard.answered("held");
    expect(await annotationsOf("a")).toEqual(flannelAnnotations(A));
    source.ready(true);
    await eventually(
      "the condition",
      async () => (await conditionsOf("a")).get("NetworkUnavailable")?.status === "False",
    );
    // Other conditions, which are the kubelet's, stay.
    expect((await conditionsOf("a")).get("Ready")?.status).toBe("True");

    const moved = { ...A, address: "192.0.2.11" };
    source.claim(claimOf(moved));
    await heard.until(
      "the new address",
      () => heard.all.get("a")?.parts[4]?.address.value === parseAddress("192.0.2.11").value,
    );
    expect(await annotationsOf("a")).toEqual(flannelAnnotations(moved));

    source.ready(false);
    await eventually(
      "the condition",
      async () => (await conditionsOf("a")).get("NetworkUnavailable")?.status === "True",
    );
    await source.release(claimOf(moved));
    expect(await annotationsOf("a")).toBeUndefined();
    expect([...(await conditionsOf("a")).keys()]).toEqual(["Ready"]);
  });

  test("both families of a Node are told", async () => {
    await world.setNetwork({ ...NETWORK, IPv6Network: "fd00:244::/48", EnableIPv6: true });
    await cluster.addNode({ name: "a", addresses: [], podCIDRs: ["10.244.1.0/24", "fd00:244:0:1::/64"] });
    const parts = { ...claimOf(A).parts, 6: { address: parseAddress("fd50::1"), mac: A.mac } };
    const { lease } = await listen("a", claimOf(A, { parts })).heard.answered("held");
    expect(lease.parts[6]?.subnet).toEqual(parseCidr("fd00:244:0:1::/64"));
    expect(await annotationsOf("a")).toEqual({
      ...flannelAnnotations(A),
      [`${PREFIX}public-ipv6`]: "fd50::1",
      [`${PREFIX}backend-v6-data`]: '{"VNI":1,"VtepMAC":"0a:00:00:00:00:01"}',
    });
  });

  test("row 18: of two that take one address at the same moment one has it", async () => {
    await world.assign(A);
    await world.assign(B);
    const one = listen("a", claimOf(A)).heard;
    const two = listen("b", claimOf({ ...B, address: A.address })).heard;
    const answers = () => [one.answer?.kind, two.answer?.kind];
    // Whose write the server took first is not ours to say.
    await one.until("one to have it", () => answers().toSorted().join() === "held,refused");
    const loser = one.answer?.kind === "refused" ? "a" : "b";
    await eventually("the other's annotations to go", async () => (await annotationsOf(loser)) === undefined);
    await Bun.sleep(300);
    expect(answers().toSorted()).toEqual(["held", "refused"]);
    expect(await annotationsOf(loser)).toBeUndefined();
  });

  test("nothing else can be done: neither pods nor secrets be read, nor a Node be changed but for its status", async () => {
    await world.assign(A);
    const { server, ca } = cluster.admin;
    const token = await cluster.api.token(ACCOUNT.namespace, ACCOUNT.name);
    const agent = new Api({ server, ca, token });
    const refused = { status: 403 };
    for (const kind of ["pods", "secrets", "configmaps", "services"]) {
      await expect(agent.request("GET", `/api/v1/${kind}`)).rejects.toMatchObject(refused);
    }
    await expect(agent.patch(node("a"), { spec: { unschedulable: true } })).rejects.toMatchObject(refused);
    await expect(agent.delete(node("a"))).rejects.toMatchObject(refused);
  });
});

test("the right that is missing is named, and what it was for is done once it is given", async () => {
  await world.assign(A);
  const granted = await cluster.api.get(ROLE);
  const rules = Array.isArray(granted.rules) ? granted.rules : [];
  try {
    await cluster.api.patch(ROLE, { rules: rules.filter(({ resources }) => !resources.includes("nodes/status")) });
    const { heard } = listen("a", claimOf(A));
    const { reason } = await heard.answered("refused");
    expect(reason).toMatch(/cannot patch resource "nodes\/status" in API group ""/);
    expect(reason).toContain("a role with the verb patch on nodes/status is needed");
    await cluster.api.patch(ROLE, { rules });
    await heard.answered("held");
  } finally {
    await cluster.api.patch(ROLE, { rules });
  }
});

test("the API server may be restarted and forget what was: nothing is taken back but what is gone", async () => {
  for (const host of [B, C]) await world.setHost(host);
  const { heard } = listen("a");
  await heard.until("both", () => heard.hosts.length === 2);
  await world.lose();
  await heard.until("no connection", () => heard.connections.at(-1)?.startsWith("down") === true);
  await world.removeHost("b");
  await cluster.stopApi();
  await cluster.compact();
  await cluster.startApi();
  expect(heard.hosts).toHaveLength(2);
  await world.regain();
  await heard.until("b gone", () => heard.hosts.length === 1);
  expect(heard.order).toEqual(["network", "leases", "gone"]);
});

test.each(readdirSync(FOLDER).filter((name) => name.endsWith(".yaml")))(
  "%s is accepted by the API server's own validation",
  async (name) => {
    for (const object of await manifestsOf(`${FOLDER}/${name}`)) {
      const fresh: Manifest = { ...object, metadata: { ...object.metadata, name: `${object.metadata.name}-try` } };
      await expect(cluster.api.create(fresh, { dryRun: true })).resolves.toMatchObject({ kind: object.kind });
    }
  },
);
