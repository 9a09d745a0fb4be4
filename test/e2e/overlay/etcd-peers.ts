/**
 * A real etcd beyond the router of a world, with TLS and client certificates, and what goes wrong with one.
 *
 * @module
 */
import { makeCertificates } from "../../cluster/certificates.ts";
import { Daemon } from "../../cluster/daemon.ts";
import type { Host } from "../host.ts";
import type { OverlayHost } from "./overlay-host.ts";
import type { FlannelSource } from "./peer-source.ts";
import { STORE, type World } from "./world.ts";

/** Its data and certificates, on the hub: ca.crt, admin.crt, admin.key among them. */
export const FILES = "/run/etcd";
const URL = `https://${STORE[4]}:2379`;
/** Where hosts have their certificates. */
const PKI = "/etc/tsnet/pki";
export const PREFIX = "/coreos.com/network";

/** The agents' flags beside those of the connection: how long leases last, for instance. */
export class EtcdPeers implements FlannelSource {
  readonly kind = "etcd";
  readonly #hub: Host;
  readonly #flags: readonly string[];
  readonly #etcd: Daemon;

  private constructor(hub: Host, flags: readonly string[]) {
    this.#hub = hub;
    this.#flags = flags;
    this.#etcd = new Daemon(hub, { name: "etcd", netns: "store", log: "/run/etcd.log", argv: ETCD });
  }

  /** Starts etcd and gives every host its certificates. */
  static async start(world: World, flags: readonly string[] = []): Promise<EtcdPeers> {
    await makeCertificates(world.hub, FILES, { dns: ["localhost"], ip: [STORE[4], STORE[6], "127.0.0.1"] });
    const peers = new EtcdPeers(world.hub, flags);
    const names = ["ca.crt", "admin.crt", "admin.key"];
    const texts = await Promise.all(names.map((name) => world.hub.ok(["cat", `${FILES}/${name}`])));
    const copies = world.hosts.flatMap((host) => names.map((name, i) => host.write(`${PKI}/${name}`, texts[i] ?? "")));
    await Promise.all([peers.up(), ...copies]);
    return peers;
  }

  async network(config: object): Promise<void> {
    await this.put(`${PREFIX}/config`, JSON.stringify(config));
  }

  async add(): Promise<void> {}

  /** Its lease ends. */
  async remove(host: OverlayHost): Promise<void> {
    for (const key of await this.keys()) {
      if ((await this.get(key)).includes(`"${host.place[4]}"`)) await this.ctl("del", key);
    }
  }

  flags(): readonly string[] {
    const files = [
      `--etcd-cafile=${PKI}/ca.crt`,
      `--etcd-certfile=${PKI}/admin.crt`,
      `--etcd-keyfile=${PKI}/admin.key`,
    ];
    return [`--etcd-endpoints=${URL}`, ...files, ...this.#flags];
  }

  async lease(host: OverlayHost, subnets: readonly [string, string], mac: string): Promise<void> {
    const value = {
      PublicIP: host.place[4],
      PublicIPv6: host.place[6],
      BackendType: "vxlan",
      BackendData: { VNI: 1, VtepMAC: mac },
      BackendV6Data: { VNI: 1, VtepMAC: mac },
    };
    const lease = /lease (\w+) granted/.exec(await this.ctl("lease", "grant", "86400"))?.[1] ?? "";
    const key = subnets.map((subnet) => subnet.replace("/", "-")).join("&");
    await this.put(`${PREFIX}/subnets/${key}`, JSON.stringify(value), `--lease=${lease}`);
  }

  async leases(): Promise<string> {
    return await this.ctl("get", "--prefix", `${PREFIX}/subnets/`);
  }

  /** Starts etcd, on the data that it had. */
  async up(): Promise<void> {
    await this.#etcd.start();
    await this.#etcd.until(async () => (await this.#run(["endpoint", "health"])).exitCode === 0);
  }

  /** Ends etcd by kill -9: who connects is refused. */
  async down(): Promise<void> {
    await this.#etcd.stop();
  }

  /** Has it lose everything, as a machine whose disk died; it is down after. */
  async wipe(): Promise<void> {
    await this.down();
    await this.#hub.sh(`rm -rf ${FILES}/data`);
  }

  /** Has it forget all versions but the newest, so that a watch from before is refused. */
  async compact(): Promise<void> {
    const status = await this.ctl("endpoint", "status", "--write-out=json");
    await this.ctl("compaction", "--physical", /"revision":(\d+)/.exec(status)?.[1] ?? "");
  }

  /** The full keys of all leases. */
  async keys(): Promise<readonly string[]> {
    const text = await this.ctl("get", "--prefix", "--keys-only", `${PREFIX}/subnets/`);
    return text.split("\n").filter(Boolean);
  }

  async get(key: string): Promise<string> {
    return (await this.ctl("get", "--print-value-only", key)).trim();
  }

  async put(key: string, value: string, ...more: readonly string[]): Promise<void> {
    await this.ctl("put", ...more, key, value);
  }

  /** Sends a transaction, in etcdctl's words. @throws Error if it fails. */
  async transaction(text: string): Promise<void> {
    const { exitCode, stderr } = await this.#run(["txn"], text);
    if (exitCode !== 0) throw new Error(`etcdctl txn: ${stderr}`);
  }

  /** Runs etcdctl. @throws Error if it fails. */
  async ctl(...args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.#run(args);
    if (exitCode !== 0) throw new Error(`etcdctl ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  #run(args: readonly string[], stdin?: string) {
    const tls = [`--cacert=${FILES}/ca.crt`, `--cert=${FILES}/admin.crt`, `--key=${FILES}/admin.key`];
    const argv = ["etcdctl", `--endpoints=https://127.0.0.1:2379`, ...tls, ...args];
    return this.#hub.inNetns("store", ["env", "ETCDCTL_API=3", ...argv], stdin === undefined ? {} : { stdin });
  }
}

const ETCD = [
  "etcd",
  `--data-dir=${FILES}/data`,
  "--listen-client-urls=https://0.0.0.0:2379",
  `--advertise-client-urls=${URL}`,
  "--listen-peer-urls=http://127.0.0.1:2380",
  "--initial-advertise-peer-urls=http://127.0.0.1:2380",
  "--initial-cluster=default=http://127.0.0.1:2380",
  `--cert-file=${FILES}/server.crt`,
  `--key-file=${FILES}/server.key`,
  `--trusted-ca-file=${FILES}/ca.crt`,
  "--client-cert-auth",
  "--log-level=warn",
];
