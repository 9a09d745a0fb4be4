/**
 * A Kubernetes control plane on a test host, up in seconds: etcd, kube-apiserver and, if asked for,
 * kube-controller-manager, all real, with TLS and RBAC.
 *
 * It lives in a network namespace of its own. A node is any other namespace of the host: {@link Cluster.join} gives it
 * a link to the control plane, and {@link Cluster.addNode} a Node object. A test talks to the API server from outside
 * of the host, through {@link Cluster.api}.
 *
 *     await using cluster = await startCluster();
 *     await cluster.join("node");
 *     await cluster.addNode({ name: "node", addresses: ["192.168.60.1"], podCIDRs: ["10.50.1.0/24"] });
 *     await cluster.api.create({ apiVersion: "v1", kind: "Service", ... });
 *     host.spawn([..., "--kubeconfig", cluster.proxyKubeconfig]);
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Subprocess } from "bun";
import { parseAllDocuments } from "yaml";
import { Host, PROJECT } from "../e2e/host.ts";
import { Api, ApiError, type Credentials, type Manifest } from "./api.ts";
import { makeCertificates } from "./certificates.ts";
import { Daemon } from "./daemon.ts";
import { type KubernetesPrograms, kubernetesPrograms } from "./kubernetes.ts";

export interface ClusterOptions {
  /** The host to run on; a new one that goes with the cluster unless given. */
  readonly host?: Host;
  /** Run kube-controller-manager with these controllers; none unless given. See {@link ENDPOINT_CONTROLLERS}. */
  readonly controllers?: readonly string[];
}

export interface NodeOptions {
  readonly name: string;
  /** Its InternalIPs, of either family. */
  readonly addresses: readonly string[];
  readonly podCIDRs?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** What makes EndpointSlices of Services and Pods, or of Endpoints. */
export const ENDPOINT_CONTROLLERS = [
  "endpointslice-controller",
  "endpointslice-mirroring-controller",
  "serviceaccount-controller",
] as const;

/** Where ClusterIPs are from. No network of a test may lie in them: kube-proxy drops what nobody serves there. */
export const SERVICE_CIDRS = { 4: "10.96.0.0/12", 6: "fd00:10:96::/108" } as const;
/** The network between the control plane and the nodes, and where on it the API server is. */
export const CONTROL = { server: "198.18.0.1", port: 6443, prefix: "198.18" } as const;

// All files of the cluster, on the host's own tmpfs.
const FILES = "/run/kubernetes";
const NETNS = "control";
const RBAC = `${PROJECT}/examples/kubernetes/rbac.yaml`;
const READY_MS = 60_000;

/** Starts a control plane, with the rights of examples/kubernetes/rbac.yaml granted to the proxy. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const programs = await kubernetesPrograms();
  const host = options.host ?? (await Host.create());
  try {
    await makeControlPlane(host);
    const relay = await startRelay(host);
    const [ca, cert, key] = await Promise.all(["ca.crt", "admin.crt", "admin.key"].map((name) => fileOf(host, name)));
    if (ca === undefined || cert === undefined || key === undefined) throw new Error("certificates are missing");
    const admin = { server: `https://127.0.0.1:${relay.port}`, ca, cert, key };
    const cluster = new Cluster({ host, programs, admin, relay: relay.process, ownsHost: options.host === undefined });
    await cluster.start(options.controllers ?? []);
    return cluster;
  } catch (error) {
    if (options.host === undefined) await host.destroy();
    throw error;
  }
}

interface Parts {
  readonly host: Host;
  readonly programs: KubernetesPrograms;
  readonly admin: Credentials;
  readonly relay: Subprocess<"pipe", "pipe", "inherit">;
  readonly ownsHost: boolean;
}

export class Cluster {
  readonly host: Host;
  readonly programs: KubernetesPrograms;
  /** As the administrator. Works from outside of the host. */
  readonly api: Api;
  /** How the administrator gets in from outside of the host. */
  readonly admin: Credentials;
  /** Files of the host, for programs in a namespace that has joined. */
  readonly adminKubeconfig = `${FILES}/admin.conf`;
  /** The proxy's: service account kube-proxy of kube-system, by its token. */
  readonly proxyKubeconfig = `${FILES}/proxy.conf`;
  /**
   * A directory of the host as kubelet mounts it at /var/run/secrets/kubernetes.io/serviceaccount: token, ca.crt,
   * namespace.
   */
  readonly serviceAccount = `${FILES}/serviceaccount`;
  /** As programs in a namespace that has joined see it. */
  readonly server = `https://${CONTROL.server}:${CONTROL.port}`;
  readonly #relay: Subprocess<"pipe", "pipe", "inherit">;
  readonly #ownsHost: boolean;
  readonly #etcd: Daemon;
  readonly #apiServer: Daemon;
  #controllerManager: Daemon | undefined;
  #joined = 0;

  constructor({ host, programs, admin, relay, ownsHost }: Parts) {
    this.host = host;
    this.programs = programs;
    this.admin = admin;
    this.api = new Api(admin);
    this.#relay = relay;
    this.#ownsHost = ownsHost;
    this.#etcd = new Daemon(host, { name: "etcd", netns: NETNS, log: `${FILES}/etcd.log`, argv: ETCD });
    const argv = [programs.apiServer, ...API_SERVER];
    this.#apiServer = new Daemon(host, { name: "kube-apiserver", netns: NETNS, log: `${FILES}/apiserver.log`, argv });
  }

  /** Called once, by {@link startCluster}. */
  async start(controllers: readonly string[]): Promise<void> {
    await writeKubeconfig(this.host, this.adminKubeconfig, this.server, {
      "client-certificate": `${FILES}/admin.crt`,
      "client-key": `${FILES}/admin.key`,
    });
    await this.#etcd.start();
    await this.startApi();
    for (const object of await manifestsOf(RBAC)) await createIfAbsent(this.api, object);
    await this.renewToken();
    await writeKubeconfig(this.host, this.proxyKubeconfig, this.server, { tokenFile: `${this.serviceAccount}/token` });
    if (controllers.length > 0) await this.startControllers(controllers);
  }

  /** Starts the API server (again) and waits until it is ready. */
  async startApi(): Promise<void> {
    await this.#apiServer.start();
    await this.#apiServer.until(async () => {
      const answer = this.api.request("GET", "/readyz", undefined, undefined, AbortSignal.timeout(2000));
      return (await answer.catch(() => "")) === "ok";
    }, READY_MS);
  }

  /** Ends the API server by kill -9: what is connected to it hears of it, what connects is refused. */
  async stopApi(): Promise<void> {
    await this.#apiServer.stop();
  }

  /** Freezes the API server: connections stay open and nothing answers, until {@link thawApi}. */
  async freezeApi(): Promise<void> {
    await this.#apiServer.signal("STOP");
  }

  async thawApi(): Promise<void> {
    await this.#apiServer.signal("CONT");
  }

  /** Cuts all nodes off from the API server, which goes on: `reject` as if it had ended, `drop` as if the network had. */
  async cut(how: "reject" | "drop"): Promise<void> {
    const verdict = how === "reject" ? "reject with tcp reset" : "drop";
    const chain = `type filter hook input priority 0; iifname kube tcp dport ${CONTROL.port} ${verdict};`;
    await this.inControl(["nft", `table inet cut { chain input { ${chain} }; }`]);
  }

  async mend(): Promise<void> {
    await this.inControl(["nft", "delete table inet cut"]);
  }

  async startControllers(controllers: readonly string[] = ENDPOINT_CONTROLLERS): Promise<void> {
    const argv = [
      this.programs.controllerManager,
      `--kubeconfig=${this.adminKubeconfig}`,
      `--controllers=${controllers.join(",")}`,
      "--leader-elect=false",
      "--endpointslice-updates-batch-period=0s",
      "--concurrent-service-endpoint-syncs=5",
      `--service-account-private-key-file=${FILES}/sa.key`,
    ];
    const log = `${FILES}/controller-manager.log`;
    this.#controllerManager = new Daemon(this.host, { name: "kube-controller-manager", netns: NETNS, log, argv });
    await this.#controllerManager.start();
  }

  async stopControllers(): Promise<void> {
    await this.#controllerManager?.stop();
    this.#controllerManager = undefined;
  }

  /**
   * Has etcd forget all versions but the newest, so that an API server that is started after answers 410 to a watch
   * from before.
   */
  async compact(): Promise<void> {
    await this.inControl([
      "sh",
      "-ec",
      `revision=$(etcdctl endpoint status --write-out=json | grep -oE '"revision":[0-9]+' | head -1 | cut -d: -f2)
       etcdctl compaction --physical "$revision"`,
    ]);
  }

  /** Runs `argv` in the control plane's namespace, where etcdctl finds etcd. */
  inControl(argv: readonly string[]): Promise<string> {
    return this.host.ok(["nsenter", `--net=/run/netns/${NETNS}`, "--", "env", "ETCDCTL_API=3", ...argv]);
  }

  /** Links a namespace of the host ("" for the host's own) to the control plane; returns its address there. */
  async join(netns: string): Promise<string> {
    this.#joined += 1;
    const number = this.#joined;
    const address = `${CONTROL.prefix}.${Math.floor(number / 250)}.${(number % 250) + 2}`;
    const inside = netns === "" ? "" : `-n ${netns}`;
    await this.host.sh(`
      ip -n ${NETNS} link add kube${number} type veth peer name kube0 netns ${netns === "" ? 1 : netns}
      ip -n ${NETNS} link set kube${number} master kube up
      ip ${inside} addr add ${address}/16 dev kube0
      ip ${inside} link set kube0 up
    `);
    return address;
  }

  /** Creates a Node object. */
  async addNode({ name, addresses, podCIDRs = [], labels = {} }: NodeOptions): Promise<Manifest> {
    const [podCIDR] = podCIDRs;
    return await this.api.createWithStatus({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
      spec: podCIDR === undefined ? {} : { podCIDR, podCIDRs },
      status: {
        addresses: [
          { type: "Hostname", address: name },
          ...addresses.map((address) => ({ type: "InternalIP", address })),
        ],
        conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: null, lastTransitionTime: null }],
      },
    });
  }

  /** Replaces the token of the proxy's service account, as kubelet does when it grows old: a new file over the old. */
  async renewToken(seconds = 3600): Promise<string> {
    const token = await this.api.token("kube-system", "kube-proxy", seconds);
    await this.host.sh(`
      mkdir -p ${this.serviceAccount}
      cd ${this.serviceAccount}
      cp ${FILES}/ca.crt ca.crt
      printf kube-system >namespace
      printf %s '${token}' >.token
      mv .token token
    `);
    return token;
  }

  /** The end of each log, for a test that failed. */
  async logs(): Promise<string> {
    return await this.host.sh(`tail -n 20 ${FILES}/*.log`);
  }

  async stop(): Promise<void> {
    this.#relay.kill("SIGKILL");
    await this.#relay.exited;
    if (this.#ownsHost) return await this.host.destroy();
    for (const daemon of [this.#controllerManager, this.#apiServer, this.#etcd]) await daemon?.stop();
    await this.host.sh(`ip netns delete ${NETNS}; rm -rf ${FILES}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The objects of a YAML file. */
export async function manifestsOf(path: string): Promise<readonly Manifest[]> {
  return parseAllDocuments(await readFile(path, "utf8")).map((document): Manifest => document.toJS());
}

const ETCD = [
  "etcd",
  `--data-dir=${FILES}/etcd`,
  "--listen-client-urls=http://127.0.0.1:2379",
  "--advertise-client-urls=http://127.0.0.1:2379",
  "--listen-peer-urls=http://127.0.0.1:2380",
  "--initial-advertise-peer-urls=http://127.0.0.1:2380",
  "--initial-cluster=default=http://127.0.0.1:2380",
  "--quota-backend-bytes=4294967296",
  "--log-level=warn",
];

const API_SERVER = [
  "--etcd-servers=http://127.0.0.1:2379",
  // The server compacts every five minutes of its own: tests do it when they want it.
  "--etcd-compaction-interval=0",
  "--bind-address=0.0.0.0",
  `--secure-port=${CONTROL.port}`,
  `--advertise-address=${CONTROL.server}`,
  `--tls-cert-file=${FILES}/server.crt`,
  `--tls-private-key-file=${FILES}/server.key`,
  `--client-ca-file=${FILES}/ca.crt`,
  "--authorization-mode=RBAC",
  "--service-account-issuer=https://kubernetes.default.svc",
  `--service-account-key-file=${FILES}/sa.pub`,
  `--service-account-signing-key-file=${FILES}/sa.key`,
  `--service-cluster-ip-range=${SERVICE_CIDRS[4]},${SERVICE_CIDRS[6]}`,
  // Pods need no service account, nor anything that a kubelet would mount.
  "--disable-admission-plugins=ServiceAccount",
  "--allow-privileged=true",
  "--profiling=false",
];

async function makeControlPlane(host: Host): Promise<void> {
  await host.addNetns(NETNS);
  await host.sh(`
    ip -n ${NETNS} link add kube type bridge
    ip -n ${NETNS} addr add ${CONTROL.server}/16 dev kube
    ip -n ${NETNS} link set kube up
  `);
  await makeCertificates(host, FILES, {
    dns: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
    ip: ["127.0.0.1", CONTROL.server, "10.96.0.1", "fd00:10:96::1"],
  });
}

async function startRelay(host: Host) {
  const script = resolve(import.meta.dirname, "relay.ts");
  const path = `/proc/${host.pid}/root/run/netns/${NETNS}`;
  const argv = [process.execPath, script, path, "127.0.0.1", String(CONTROL.port)];
  const child = Bun.spawn(argv, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, BUN_BE_BUN: "1" } });
  const first = await child.stdout.getReader().read();
  const port = Number(first.done ? "" : new TextDecoder().decode(first.value));
  if (!(port > 0)) throw new Error("the relay to the API server did not start");
  return { process: child, port };
}

function fileOf(host: Host, name: string): Promise<string> {
  return host.ok(["cat", `${FILES}/${name}`]);
}

// JSON is YAML.
async function writeKubeconfig(
  host: Host,
  path: string,
  server: string,
  user: Readonly<Record<string, string>>,
): Promise<void> {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "default",
    clusters: [{ name: "default", cluster: { server, "certificate-authority": `${FILES}/ca.crt` } }],
    users: [{ name: "default", user }],
    contexts: [{ name: "default", context: { cluster: "default", user: "default" } }],
  };
  await host.ok(["tee", path], { stdin: JSON.stringify(config, null, 2) });
}

async function createIfAbsent(api: Api, object: Manifest): Promise<void> {
  try {
    await api.create(object);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
}
