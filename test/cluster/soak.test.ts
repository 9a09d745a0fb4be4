/**
 * Twenty thousand changes through the API server, in both modes at once: nothing is left of what was, and the proxies
 * are no larger than they were after two thousand.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Ep, Svc } from "../e2e/proxy/manifests.ts";
import type { World } from "../e2e/proxy/world.ts";
import { eventually } from "../e2e/standalone.ts";
import type { Manifest } from "./api.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import type { Daemon } from "./daemon.ts";
import { countsOf, inAnyOrder, rulesOf } from "./dump.ts";
import { eachOf, generator } from "./load.ts";
import { Marker } from "./marker.ts";
import { addWorld, addWorldNode, MODES, type Mode, startProxy } from "./proxies.ts";
import { manifestsOf } from "./teller.ts";

const CHANGES = 20_000;
const EARLY = 2_000;
/** Changes between two looks at the memory. Of one look it depends on when garbage was collected last: five are taken. */
const EVERY = 500;
const LOOKS = 5;
const SERVICES = 200;

let cluster: Cluster;
let marker: Marker;
beforeAll(async () => {
  cluster = await startCluster();
  await addWorldNode(cluster);
  marker = await Marker.create(cluster);
});
afterAll(async () => await cluster.stop());

interface Node {
  readonly mode: Mode;
  readonly world: World;
  readonly proxy: Daemon;
}

test("after 20,000 changes the rules, their number and the memory are those of a fresh start (rows 10, 13)", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`seed of the changes: ${seed}`);
  const churn = new Churn(cluster, generator(seed));
  const nodes = await Promise.all(MODES.map((mode) => begin("soak", mode)));
  const began = performance.now();
  const sizes: (readonly number[])[] = [];
  while (churn.changes < CHANGES) {
    await churn.go(EVERY);
    sizes.push(await memoryOf(nodes));
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  const told = MODES.map((mode, index) => `${mode} ${sizes.map((each) => each[index]).join(" ")}`).join(", ");
  console.log(`${churn.changes} changes in ${seconds} s; MB after each ${EVERY}: ${told}`);
  for (const node of nodes) await isAsFresh(node);
  const first = EARLY / EVERY - 1;
  for (const [index, mode] of MODES.entries()) {
    const all = sizes.map((each) => each[index] ?? 0);
    const early = median(all.slice(first, first + LOOKS));
    expect(median(all.slice(-LOOKS)), `MB of ${mode}, ${early} early`).toBeLessThanOrEqual(early * 1.1);
  }
}, 600_000);

async function begin(prefix: string, mode: Mode): Promise<Node> {
  const world = await addWorld(cluster, `${mode}-${prefix}-`);
  const proxy = await startProxy(cluster, { program: "tsnet", mode, world });
  await marker.passed([world], [proxy]);
  return { mode, world, proxy };
}

/** In MB, of each proxy and what it has started, at rest. */
async function memoryOf(nodes: readonly Node[]): Promise<readonly number[]> {
  await marker.passed(
    nodes.map(({ world }) => world),
    nodes.map(({ proxy }) => proxy),
  );
  return await Promise.all(
    nodes.map(async ({ proxy: { pid } }) => {
      const sizes = await cluster.host.sh(`ps -o rss= --pid ${pid} --ppid ${pid}`);
      const kilobytes = sizes.trim().split(/\s+/).map(Number);
      return Math.round(kilobytes.reduce((sum, each) => sum + each, 0) / 1024);
    }),
  );
}

/** The rules are those that a proxy writes that was not there before. */
async function isAsFresh({ mode, world, proxy }: Node): Promise<void> {
  const fresh = await begin("fresh", mode);
  await marker.passed([world, fresh.world], [proxy, fresh.proxy]);
  const wanted = inAnyOrder(await rulesOf(fresh.world));
  const now = async () => inAnyOrder(await rulesOf(world));
  await eventually(async () => (await now()).join("\n") === wanted.join("\n"), "swept").catch(() => {});
  const rules = await now();
  const [extra, missing] = [without(rules, wanted), without(wanted, rules)];
  expect({ mode, extra: extra.slice(0, 10), missing: missing.slice(0, 10) }).toEqual({ mode, extra: [], missing: [] });
  expect(await countsOf(world)).toEqual(await countsOf(fresh.world));
  for (const each of [proxy, fresh.proxy]) await each.stop();
  for (const each of [world, fresh.world]) await each.prober.stop();
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

function without(all: readonly string[], some: readonly string[]): readonly string[] {
  const known = new Set(some);
  return all.filter((each) => !known.has(each));
}

/** Services that come, change in every way, and go, at random. */
class Churn {
  changes = 0;
  readonly #cluster: Cluster;
  readonly #random: () => number;
  readonly #there = new Set<number>();

  constructor(cluster: Cluster, random: () => number) {
    this.#cluster = cluster;
    this.#random = random;
  }

  /** Makes `count` changes: objects created, replaced, deleted. */
  async go(count: number): Promise<void> {
    const end = this.changes + count;
    const all = Array.from({ length: SERVICES }, (_, n) => n);
    // Each service's changes one after the other, those of a dozen at a time.
    while (this.changes < end) {
      await eachOf(all, async (n) => {
        if (this.changes < end) await this.#change(n);
      });
    }
  }

  async #change(n: number): Promise<void> {
    const { api } = this.#cluster;
    const [service, ...slices] = manifestsOf(this.#draw(n));
    if (service === undefined) return;
    if (!this.#there.has(n)) {
      this.#there.add(n);
      await this.#each([service, ...slices], (object) => api.createWithStatus(object));
      return;
    }
    const dice = this.#random();
    if (dice < 0.1) {
      this.#there.delete(n);
      await this.#each([service, ...slices], (object) => api.delete(object));
    } else if (dice < 0.25) {
      await this.#each([service, ...slices], (object) => api.replace(object));
    } else {
      await this.#each(slices, (object) => api.replace(object));
    }
  }

  async #each(objects: readonly Manifest[], write: (object: Manifest) => Promise<unknown>): Promise<void> {
    for (const object of objects) await write(object);
    this.changes += objects.length;
  }

  #draw(n: number): Svc {
    const maybe = (chance: number) => this.#random() < chance;
    const endpoints: Ep[] = Array.from({ length: Math.floor(this.#random() * 9) }, () => {
      const terminating = maybe(0.1);
      return {
        pod: 1 + Math.floor(this.#random() * 250),
        ready: !terminating && maybe(0.95),
        serving: true,
        terminating,
      };
    });
    const loadBalancer = maybe(0.2);
    return {
      name: `soak-${n}`,
      n: n + 1,
      ports: [{ name: maybe(0.8) ? "web" : "www", nodePort: 30100 + n, protocol: n % 5 === 0 ? "udp" : "tcp" }],
      externalIP: maybe(0.2),
      loadBalancer,
      ...(maybe(0.2) ? { external: "Local" } : {}),
      ...(maybe(0.1) ? { internal: "Local" } : {}),
      ...(maybe(0.2) ? { affinitySeconds: 60 } : {}),
      ...(loadBalancer && maybe(0.5) ? { sourceRanges: ["203.0.113.0/24", "2001:db8:203::/64"] } : {}),
      endpoints: [...new Map(endpoints.map((endpoint) => [endpoint.pod, endpoint])).values()],
    };
  }
}
