/**
 * A real etcd on a test host, with TLS, client certificates and users, which can be stopped, frozen, compacted and
 * emptied.
 *
 *     await using etcd = await startEtcd({ host, user: true });
 *     await etcd.put("/coreos.com/network/config", "{...}");
 *     host.spawn(["tsnet", "overlay", ...etcd.flags()]);
 *     etcdSource({ ...(await etcd.settings()), replaceLease: false }, ...);      from the test's own process
 *
 * @module
 */
import { resolve } from "node:path";
import type { Subprocess } from "bun";
import type { EtcdSettings } from "../../../overlay/settings.ts";
import { Daemon } from "../../cluster/daemon.ts";
import type { Host } from "../../e2e/host.ts";

export interface EtcdOptions {
  readonly host: Host;
  /** A named namespace of the host; the host's own unless given. */
  readonly netns?: string;
  /** Where it listens in there, 127.0.0.1 unless given. */
  readonly address?: string;
  /** Only clients with a certificate of our authority; true unless given. */
  readonly tls?: boolean;
  /** Only `overlay` with its password, who may read and write {@link PREFIX} and nothing else; false unless given. */
  readonly user?: boolean;
}

export const PREFIX = "/coreos.com/network";
export const USER = { username: "overlay", password: "over:lay" } as const;
const ROOT = { username: "root", password: "root" } as const;
const PORT = 2379;
/** Where it keeps everything, on the host's own tmpfs. */
const FILES = "/run/etcd";

/** Starts one and waits until it answers. A host holds one. */
export async function startEtcd(options: EtcdOptions): Promise<Etcd> {
  const etcd = new Etcd(options);
  await etcd.prepare();
  return etcd;
}

export class Etcd {
  readonly #host: Host;
  readonly #netns: string;
  readonly #tls: boolean;
  readonly #user: boolean;
  readonly #daemon: Daemon;
  #door: Subprocess<"pipe", "pipe", "inherit"> | undefined;
  #doorPort = 0;
  /** As hosts on its network reach it. */
  readonly endpoint: string;

  constructor({ host, netns = "", address = "127.0.0.1", tls = true, user = false }: EtcdOptions) {
    this.#host = host;
    this.#netns = netns;
    this.#tls = tls;
    this.#user = user;
    this.endpoint = `${tls ? "https" : "http"}://${address.includes(":") ? `[${address}]` : address}:${PORT}`;
    this.#daemon = new Daemon(host, {
      name: "etcd",
      netns,
      log: `${FILES}/log`,
      argv: ["etcd", ...this.#flags()],
    });
  }

  /** Its certificates, as the host sees them; empty without TLS. */
  get files(): { readonly ca: string; readonly cert: string; readonly key: string } {
    const path = (name: string) => (this.#tls ? `${FILES}/${name}` : "");
    return { ca: path("ca.crt"), cert: path("client.crt"), key: path("client.key") };
  }

  /** What an agent on its network is told. */
  flags(): readonly string[] {
    const { ca, cert, key } = this.files;
    return [
      `--etcd-endpoints=${this.endpoint}`,
      ...(this.#tls ? [`--etcd-cafile=${ca}`, `--etcd-certfile=${cert}`, `--etcd-keyfile=${key}`] : []),
      ...(this.#user ? [`--etcd-username=${USER.username}`, `--etcd-password=${USER.password}`] : []),
    ];
  }

  /** What a source in the test's own process is told: it comes by a door on the machine's loopback. */
  async settings(more: Partial<EtcdSettings> = {}): Promise<EtcdSettings> {
    const seen = (path: string) => (path === "" ? "" : `/proc/${this.#host.pid}/root${path}`);
    const { ca, cert, key } = this.files;
    return {
      kind: "etcd",
      endpoints: [`${this.#tls ? "https" : "http"}://127.0.0.1:${await this.door()}`],
      prefix: PREFIX,
      caFile: seen(ca),
      certFile: seen(cert),
      keyFile: seen(key),
      username: this.#user ? USER.username : "",
      password: this.#user ? USER.password : "",
      ttl: 24 * 3_600_000,
      renewMargin: 3_600_000,
      ...more,
    };
  }

  /** The port of the machine's loopback that leads to it. */
  async door(): Promise<number> {
    if (this.#door === undefined) {
      const relay = resolve(import.meta.dirname, "../../cluster/relay.ts");
      const netns = this.#netns === "" ? `/proc/${this.#host.pid}/ns/net` : `/run/netns/${this.#netns}`;
      const path = this.#netns === "" ? netns : `/proc/${this.#host.pid}/root${netns}`;
      const { hostname } = new URL(this.endpoint);
      const argv = [process.execPath, relay, path, hostname.replace(/[[\]]/g, ""), String(PORT)];
      const door = Bun.spawn(argv, { stdio: ["pipe", "pipe", "inherit"] });
      this.#door = door;
      const first = await door.stdout.getReader().read();
      if (first.done) throw new Error("the door to etcd did not open");
      this.#doorPort = Number(new TextDecoder().decode(first.value));
    }
    return this.#doorPort;
  }

  /** `etcdctl ARGV...` as root of etcd; returns what it printed. */
  ctl(argv: readonly string[], stdin?: string): Promise<string> {
    const { ca, cert, key } = this.files;
    const tls = this.#tls ? [`--cacert=${ca}`, `--cert=${cert}`, `--key=${key}`] : [];
    const user = this.#user ? [`--user=${ROOT.username}:${ROOT.password}`] : [];
    return this.#ctl([...tls, ...user, ...argv], stdin);
  }

  async put(key: string, value: string, options: { readonly lease?: string } = {}): Promise<void> {
    const lease = options.lease === undefined ? [] : [`--lease=${options.lease}`];
    await this.ctl(["put", key, ...lease], value);
  }

  async delete(key: string): Promise<void> {
    await this.ctl(["del", key]);
  }

  /** The value under a key; undefined if there is none. */
  async get(key: string): Promise<string | undefined> {
    const [, value] = (await this.ctl(["get", key])).split("\n");
    return value;
  }

  /** The names of all keys under a prefix. */
  async keys(prefix: string): Promise<readonly string[]> {
    const text = await this.ctl(["get", "--prefix", "--keys-only", prefix]);
    return text.split("\n").filter((line) => line !== "");
  }

  /** Puts many keys at once. */
  async load(entries: Iterable<readonly [string, string]>): Promise<void> {
    let batch: string[] = [];
    const flush = async () => {
      if (batch.length > 0) await this.ctl(["txn"], `\n${batch.join("\n")}\n\n\n`);
      batch = [];
    };
    for (const [key, value] of entries) {
      batch.push(`put ${key} ${JSON.stringify(value)}`);
      // etcd takes 128 operations a transaction (--max-txn-ops).
      if (batch.length === 128) await flush();
    }
    await flush();
  }

  async revision(): Promise<number> {
    const status: unknown = JSON.parse(await this.ctl(["endpoint", "status", "--write-out=json"]));
    const text = JSON.stringify(status);
    return Number(/"revision":(\d+)/.exec(text)?.[1]);
  }

  /** Forgets all history but the present. */
  async compact(): Promise<void> {
    await this.ctl(["compact", String(await this.revision())]);
  }

  /** Goes on running but answers nothing, its connections included. */
  freeze(): Promise<void> {
    return this.#daemon.signal("STOP");
  }

  thaw(): Promise<void> {
    return this.#daemon.signal("CONT");
  }

  async kill(): Promise<void> {
    await this.#daemon.stop("KILL");
  }

  async start(): Promise<void> {
    await this.#daemon.start();
    await this.#daemon.until(async () => (await this.#answers()) === "");
  }

  /** Loses everything that it was told, users included, and starts anew; it is the same cluster to its clients. */
  async wipe(): Promise<void> {
    await this.kill();
    await this.#host.sh(`rm -rf ${FILES}/data`);
    await this.prepare();
  }

  async stop(): Promise<void> {
    await this.kill();
    this.#door?.stdin.end();
    await this.#door?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Makes certificates, starts it and makes users. */
  async prepare(): Promise<void> {
    await this.#host.sh(`mkdir -p -m 700 ${FILES}`);
    if (this.#tls) await this.#host.sh(certificates(new URL(this.endpoint).hostname.replace(/[[\]]/g, "")));
    await this.start();
    if (this.#user) await this.#makeUsers();
  }

  async #makeUsers(): Promise<void> {
    const { ca, cert, key } = this.files;
    const tls = this.#tls ? [`--cacert=${ca}`, `--cert=${cert}`, `--key=${key}`] : [];
    for (const line of [
      ["user", "add", `${ROOT.username}:${ROOT.password}`],
      ["user", "add", `${USER.username}:${USER.password}`],
      ["role", "add", "overlay"],
      ["role", "grant-permission", "overlay", "read", `${PREFIX}/config`],
      ["role", "grant-permission", "overlay", "readwrite", "--prefix=true", `${PREFIX}/subnets/`],
      ["user", "grant-role", "root", "root"],
      ["user", "grant-role", USER.username, "overlay"],
      ["auth", "enable"],
    ]) {
      await this.#ctl([...tls, ...line]);
    }
  }

  /** Why it does not answer yet; empty if it does. Without rights, since there may be no users yet. */
  async #answers(): Promise<string> {
    const { ca, cert, key } = this.files;
    const tls = this.#tls ? [`--cacert=${ca}`, `--cert=${cert}`, `--key=${key}`] : [];
    const { exitCode, stderr } = await this.#host.run(this.#command([...tls, "endpoint", "status"]), ETCDCTL);
    return exitCode === 0 ? "" : stderr;
  }

  #ctl(argv: readonly string[], stdin?: string): Promise<string> {
    return this.#host.ok(this.#command(argv), stdin === undefined ? ETCDCTL : { ...ETCDCTL, stdin });
  }

  #command(argv: readonly string[]): string[] {
    const enter = this.#netns === "" ? [] : ["nsenter", `--net=/run/netns/${this.#netns}`, "--"];
    return [...enter, "etcdctl", `--endpoints=${this.endpoint}`, "--command-timeout=5s", ...argv];
  }

  #flags(): readonly string[] {
    return [
      "--name=etcd",
      `--data-dir=${FILES}/data`,
      `--listen-client-urls=${this.endpoint}`,
      `--advertise-client-urls=${this.endpoint}`,
      "--listen-peer-urls=http://127.0.0.1:2380",
      // A token is worth nothing a second after it was used last, rather than five minutes.
      ...(this.#user ? ["--auth-token-ttl=1"] : []),
      "--log-level=warn",
      "--logger=zap",
      ...(this.#tls
        ? [
            "--client-cert-auth",
            `--trusted-ca-file=${FILES}/ca.crt`,
            `--cert-file=${FILES}/server.crt`,
            `--key-file=${FILES}/server.key`,
          ]
        : []),
    ];
  }
}

const ETCDCTL = { env: { ETCDCTL_API: "3" } };

/** An authority, the server's certificate, which the door can be reached by as well, and a client's. */
function certificates(address: string): string {
  const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  return `
    cd ${FILES}
    exec 2>openssl.log
    test ! -e ca.crt || exit 0
    printf 'subjectAltName=IP:${address}${address === "127.0.0.1" ? "" : ",IP:127.0.0.1"}\\n' >server.ext
    printf 'extendedKeyUsage=clientAuth\\n' >client.ext
    openssl req -x509 ${key} -keyout ca.key -out ca.crt -days 30 -subj /CN=test-etcd \\
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,digitalSignature
    openssl req ${key} -keyout server.key -out server.csr -subj /CN=etcd
    openssl req ${key} -keyout client.key -out client.csr -subj /CN=agent
    for name in server client; do
      openssl x509 -req -in $name.csr -out $name.crt -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile $name.ext
    done
  `;
}
