/**
 * Where agents under test learn of each other, as whoever runs a network keeps it: one interface for all three kinds,
 * so that one set of cases runs on each. The one on Kubernetes is test/cluster/overlay-source.ts.
 *
 * @module
 */
import { subnetOf } from "./by-hand.ts";
import type { OverlayHost } from "./overlay-host.ts";
import type { World } from "./world.ts";

export interface PeerSource extends AsyncDisposable {
  readonly kind: "static" | "etcd" | "kube";
  /** Sets what flannel calls net-conf.json. */
  network(config: object): Promise<void>;
  /** Prepares for a host, or tells of its new address: an entry in the file, a Node; nothing where agents do it. */
  add(host: OverlayHost): Promise<void>;
  /** The host is gone for good. */
  remove(host: OverlayHost): Promise<void>;
  /** The agent's flags on a host. */
  flags(host: OverlayHost): readonly string[];
}

/** A source that can hold what flannel itself wrote. */
export interface FlannelSource extends PeerSource {
  /** The lease of a host, as flannel writes it. */
  lease(host: OverlayHost, subnets: readonly [string, string], mac: string): Promise<void>;
  /** All leases, one a line, without what changes by itself. */
  leases(): Promise<string>;
}

/** The network of both families that most cases use; with etcd, hosts' subnets are of 24 and 64 bits. */
export function networkOf(backend: object = { Type: "vxlan", VNI: 1 }): object {
  return {
    Network: "10.244.0.0/16",
    SubnetLen: 24,
    EnableIPv6: true,
    IPv6Network: "fd00:10:244::/48",
    IPv6SubnetLen: 64,
    Backend: backend,
  };
}

const FILE = "/etc/tsnet/overlay.yaml";

/** A file on every host, the same everywhere; host a has 10.244.1.0/24, and so on. */
export class StaticPeers implements PeerSource {
  readonly kind = "static";
  readonly #world: World;
  readonly #hosts = new Map<string, object>();
  #network: object = {};

  constructor(world: World) {
    this.#world = world;
  }

  async network(config: object): Promise<void> {
    // Subnets are listed: nothing is left to choose.
    const { SubnetLen: _, IPv6SubnetLen: __, ...network } = config as Record<string, unknown>;
    this.#network = network;
    await this.#write();
  }

  async add(host: OverlayHost): Promise<void> {
    const subnet = [`${subnetOf(host, 4)}/24`, `${subnetOf(host, 6)}/64`];
    this.#hosts.set(host.name, { name: host.name, address: [host.place[4], host.place[6]], subnet });
    await this.#write();
  }

  async remove(host: OverlayHost): Promise<void> {
    this.#hosts.delete(host.name);
    await this.#write();
  }

  flags(): readonly string[] {
    return ["--hosts", FILE];
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  // JSON is YAML. A new file over the old one, as a program that distributes it does.
  async #write(): Promise<void> {
    const text = JSON.stringify({ network: this.#network, hosts: [...this.#hosts.values()] }, null, 1);
    await Promise.all(
      this.#world.hosts.map(async (host) => {
        await host.write(`${FILE}.new`, text);
        await host.sh(`mv ${FILE}.new ${FILE}`);
      }),
    );
  }
}
