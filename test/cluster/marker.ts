/**
 * Tells when a proxy has programmed all that the API server was told before: a Service of its own whose port and
 * endpoint are moved, and asked for until that is so. Watches are in order, each kind's by itself, and a proxy writes
 * each family by itself, so the marker moves both a Service and its slices of both families.
 *
 * @module
 */
import { shortly } from "../e2e/proxy/prober.ts";
import type { Family, World } from "../e2e/proxy/world.ts";
import type { Cluster } from "./cluster.ts";
import type { Daemon } from "./daemon.ts";
import { FAMILIES, type ServicePort, service, slice } from "./objects.ts";

const ADDRESS = { 4: "10.96.255.1", 6: "fd00:10:96::f:1" } as const;
const SERVICE = { apiVersion: "v1", kind: "Service", metadata: { name: "marker" } } as const;
const SERVERS = ["remote1", "remote2"] as const;
const PROGRAMMED_MS = 60_000;

export class Marker {
  readonly #cluster: Cluster;
  #turn = 0;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  static async create(cluster: Cluster): Promise<Marker> {
    const marker = new Marker(cluster);
    await cluster.api.create(service("marker", Object.values(ADDRESS), marker.#ports()));
    for (const family of FAMILIES) await cluster.api.create(marker.#slice(family));
    return marker;
  }

  /** Waits until `worlds` have all that the API server has by now. `proxies` are to blame if it takes too long. */
  passed(worlds: readonly World[], proxies: readonly Daemon[] = []): Promise<void> {
    // There is one marker: who asks meanwhile waits for his turn.
    const next = this.#last.then(() => this.#pass(worlds, proxies));
    this.#last = next.catch(() => {});
    return next;
  }

  async #pass(worlds: readonly World[], proxies: readonly Daemon[]): Promise<void> {
    this.#turn += 1;
    const { api } = this.#cluster;
    await Promise.all([
      api.patch(SERVICE, { spec: { ports: this.#ports() } }),
      ...FAMILIES.map((family) => api.patch(this.#slice(family), this.#slice(family))),
    ]);
    await Promise.all(worlds.flatMap((world) => FAMILIES.map((family) => this.#seen(world, family, proxies))));
  }

  async #seen(world: World, family: Family, proxies: readonly Daemon[]): Promise<void> {
    const question = { protocol: "tcp", address: ADDRESS[family], port: this.#port, timeoutMs: 100 } as const;
    const deadline = performance.now() + PROGRAMMED_MS;
    for (;;) {
      const answer = await world.prober.askUntilAnswered(world.netns("node"), question, 1000);
      // An answer of the one before: the port is new already and the endpoint is not.
      if ("server" in answer && answer.server === this.#server) return;
      const ended = proxies.filter((proxy) => !proxy.running);
      if (ended.length === 0 && performance.now() < deadline) continue;
      const logs = await Promise.all(proxies.map((proxy) => proxy.tail()));
      throw new Error(
        `${world.netns("node")} has not programmed a change in IPv${family}: ${shortly(answer)}\n${logs.join("\n")}`,
      );
    }
  }

  get #port(): number {
    return 1000 + (this.#turn % 1000);
  }

  get #server(): (typeof SERVERS)[number] {
    return SERVERS[this.#turn % 2 === 0 ? 0 : 1];
  }

  #ports(): readonly ServicePort[] {
    return [{ port: this.#port, protocol: "TCP" }];
  }

  #slice(family: Family) {
    return slice("marker", family, [{ pod: this.#server }], [{ port: this.#port }]);
  }
}
