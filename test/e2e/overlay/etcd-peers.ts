/**
 * A real etcd beyond the router of a world, with TLS, client certificates and a user.
 *
 * @module
 */
import { type Etcd, PREFIX, startEtcd } from "../../overlay/source/etcd.ts";
import type { OverlayHost } from "./overlay-host.ts";
import type { FlannelSource } from "./peer-source.ts";
import { STORE, type World } from "./world.ts";

export class EtcdPeers implements FlannelSource {
  readonly kind = "etcd";
  readonly etcd: Etcd;
  readonly #flags: readonly string[];

  private constructor(etcd: Etcd, flags: readonly string[]) {
    this.etcd = etcd;
    this.#flags = flags;
  }

  /** Starts etcd and gives every host its certificates; `flags` are the agents', beside those of the connection. */
  static async start(
    world: World,
    flags: readonly string[] = [],
    access = { tls: true, user: true },
  ): Promise<EtcdPeers> {
    const etcd = await startEtcd({ host: world.hub, netns: "store", address: STORE[4], ...access });
    const files = Object.values(etcd.files).filter((path) => path !== "");
    const copies = files.map(async (path) => {
      const text = await world.hub.ok(["cat", path]);
      await Promise.all(world.hosts.map((host) => host.write(path, text)));
    });
    await Promise.all(copies);
    return new EtcdPeers(etcd, flags);
  }

  async network(config: object): Promise<void> {
    await this.etcd.put(`${PREFIX}/config`, JSON.stringify(config));
  }

  async add(): Promise<void> {}

  /** Its lease ends, where it has not given it up itself. */
  async remove(host: OverlayHost): Promise<void> {
    for (const key of await this.keys()) {
      if ((await this.etcd.get(key))?.includes(`"${host.place[4]}"`)) await this.etcd.delete(key);
    }
  }

  flags(): readonly string[] {
    return [...this.etcd.flags(), ...this.#flags];
  }

  async lease(host: OverlayHost, subnets: readonly [string, string], mac: string): Promise<void> {
    const [key, value] = leaseOf(subnets, { 4: host.place[4], 6: host.place[6], mac });
    const lease = /lease (\w+) granted/.exec(await this.etcd.ctl(["lease", "grant", "86400"]))?.[1] ?? "";
    await this.etcd.put(key, value, { lease });
  }

  async leases(): Promise<string> {
    const lines = (await this.keys()).map(async (key) => {
      // Ours adds its host's name, which flannel does not look at.
      const { Host: _, ...lease } = JSON.parse((await this.etcd.get(key)) ?? "{}");
      return `${key} ${JSON.stringify(Object.entries(lease).sort())}`;
    });
    return (await Promise.all(lines)).join("\n");
  }

  /** The full keys of all leases. */
  keys(): Promise<readonly string[]> {
    return this.etcd.keys(`${PREFIX}/subnets/`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.etcd.stop();
  }
}

/** Key and value of a lease as flannel writes it. */
export function leaseOf(
  subnets: readonly string[],
  at: { readonly 4: string; readonly 6: string; readonly mac: string },
): readonly [key: string, value: string] {
  const backend = { VNI: 1, VtepMAC: at.mac };
  const six = subnets.length > 1 ? { PublicIPv6: at[6], BackendV6Data: backend } : {};
  const value = { PublicIP: at[4], ...six, BackendType: "vxlan", BackendData: backend };
  return [`${PREFIX}/subnets/${subnets.map((one) => one.replace("/", "-")).join("&")}`, JSON.stringify(value)];
}
