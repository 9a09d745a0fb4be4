/**
 * Tells when a proxy has programmed all that the API server was told before: a Service of its own whose port and
 * endpoint are moved, and asked for until that is so. Watches are in order, each kind's by itself, so the marker
 * moves both a Service and its slice.
 *
 * @module
 */
import { ADDRESSES, type World } from "../e2e/proxy/world.ts";
import type { Cluster } from "./cluster.ts";
import type { Daemon } from "./daemon.ts";

const ADDRESS = "10.96.255.1";
const SERVICE = { apiVersion: "v1", kind: "Service", metadata: { name: "marker" } } as const;
const SLICE = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { name: "marker" } } as const;
const SERVERS = ["remote1", "remote2"] as const;
const PROGRAMMED_MS = 60_000;

export class Marker {
  readonly #cluster: Cluster;
  #turn = 0;

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  static async create(cluster: Cluster): Promise<Marker> {
    const marker = new Marker(cluster);
    await cluster.api.create({ ...SERVICE, spec: { clusterIP: ADDRESS, ports: marker.#ports() } });
    await cluster.api.create({
      ...SLICE,
      metadata: { ...SLICE.metadata, labels: { "kubernetes.io/service-name": "marker" } },
      addressType: "IPv4",
      endpoints: marker.#endpoints(),
      ports: [{ name: "", port: 8080, protocol: "TCP" }],
    });
    return marker;
  }

  /** Waits until `worlds` have all that the API server has by now. `proxies` are to blame if it takes too long. */
  async passed(worlds: readonly World[], proxies: readonly Daemon[] = []): Promise<void> {
    this.#turn += 1;
    const { api } = this.#cluster;
    await Promise.all([
      api.patch(SERVICE, { spec: { ports: this.#ports() } }),
      api.patch(SLICE, { endpoints: this.#endpoints() }),
    ]);
    await Promise.all(worlds.map((world) => this.#seen(world, proxies)));
  }

  async #seen(world: World, proxies: readonly Daemon[]): Promise<void> {
    const question = { protocol: "tcp", address: ADDRESS, port: this.#port, timeoutMs: 100 } as const;
    const deadline = performance.now() + PROGRAMMED_MS;
    for (;;) {
      const answer = await world.prober.askUntilAnswered(world.netns("node"), question, 1000);
      // An answer of the one before: the port is new already and the endpoint is not.
      if ("server" in answer && answer.server === this.#server) return;
      const ended = proxies.filter((proxy) => !proxy.running);
      if (ended.length === 0 && performance.now() < deadline) continue;
      const logs = await Promise.all(proxies.map((proxy) => proxy.tail()));
      throw new Error(`${world.netns("node")} has not programmed a change: ${answer.outcome}\n${logs.join("\n")}`);
    }
  }

  get #port(): number {
    return 1000 + (this.#turn % 1000);
  }

  get #server(): (typeof SERVERS)[number] {
    return SERVERS[this.#turn % 2 === 0 ? 0 : 1];
  }

  #ports() {
    return [{ name: "", port: this.#port, protocol: "TCP" }];
  }

  #endpoints() {
    return [{ addresses: [ADDRESSES[this.#server][4]], conditions: { ready: true }, nodeName: "node-b" }];
  }
}
