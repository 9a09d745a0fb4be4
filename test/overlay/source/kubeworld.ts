/**
 * Nodes as the world of a source: whatever keeps them, the real API server or a stand-in.
 *
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Source } from "../../../overlay/source/source.ts";
import type { SourceWorld, WrittenHost } from "./cases.ts";

export const PREFIX = "flannel.alpha.coreos.com/";

export interface NodeStore {
  create(name: string, podCIDRs: readonly string[]): Promise<void>;
  /** Null removes. */
  annotate(name: string, annotations: Readonly<Record<string, string | null>>): Promise<void>;
  delete(name: string): Promise<void>;
  /** Cuts the sources off. */
  lose(): Promise<void>;
  regain(): Promise<void>;
  open(nodeName: string, netConfPath: string): Source;
  close(): Promise<void>;
}

/** What flannel's agent writes on the Node of its host. */
export function flannelAnnotations({ address, mac }: WrittenHost): Readonly<Record<string, string>> {
  return {
    [`${PREFIX}kube-subnet-manager`]: "true",
    [`${PREFIX}public-ip`]: address,
    [`${PREFIX}backend-type`]: "vxlan",
    [`${PREFIX}backend-data`]: JSON.stringify({ VNI: 1, VtepMAC: mac }),
  };
}

export class KubeWorld implements SourceWorld {
  readonly hostsWrite = true;
  readonly #store: NodeStore;
  readonly #directory = mkdtempSync(join(tmpdir(), "tsnet-kube-"));
  /** Subnets of Nodes that are there. */
  readonly #nodes = new Map<string, string>();

  constructor(store: NodeStore) {
    this.#store = store;
  }

  get netConfPath(): string {
    return join(this.#directory, "net-conf.json");
  }

  async setNetwork(config: object | string): Promise<void> {
    writeFileSync(this.netConfPath, typeof config === "string" ? config : JSON.stringify(config));
  }

  async setHost(host: WrittenHost): Promise<void> {
    await this.assign(host);
    await this.#store.annotate(host.name, flannelAnnotations(host));
  }

  async removeHost(name: string): Promise<void> {
    await this.#store.delete(name);
    this.#nodes.delete(name);
  }

  async spoilHost(name: string): Promise<void> {
    await this.#store.annotate(name, { [`${PREFIX}backend-data`]: "{" });
  }

  /** A Node's podCIDR is given once and for all: for another the Node is made anew. */
  async assign({ name, subnet }: WrittenHost): Promise<void> {
    if (this.#nodes.get(name) === subnet) return;
    if (this.#nodes.has(name)) await this.#store.delete(name);
    await this.#store.create(name, [subnet]);
    this.#nodes.set(name, subnet);
  }

  async lose(): Promise<void> {
    await this.#store.lose();
  }

  async regain(): Promise<void> {
    await this.#store.regain();
  }

  open(nodeName: string): Source {
    return this.#store.open(nodeName, this.netConfPath);
  }

  async close(): Promise<void> {
    rmSync(this.#directory, { recursive: true });
    await this.#store.close();
  }
}
