/**
 * A real API server beyond the router of an overlay's world, whose Nodes are its hosts. Agents have what
 * examples/overlay/kubernetes/rbac.yaml grants, and nothing else.
 *
 * @module
 */

import { PROJECT } from "../e2e/host.ts";
import { subnetOf } from "../e2e/overlay/by-hand.ts";
import type { OverlayHost } from "../e2e/overlay/overlay-host.ts";
import type { FlannelSource } from "../e2e/overlay/peer-source.ts";
import type { World } from "../e2e/overlay/world.ts";
import type { Manifest } from "./api.ts";
import { type Cluster, CONTROL, manifestsOf, startCluster } from "./cluster.ts";

const RBAC = `${PROJECT}/examples/overlay/kubernetes/rbac.yaml`;
const FILES = "/etc/tsnet/kube";
const NET_CONF = `${FILES}/net-conf.json`;
const KUBECONFIG = `${FILES}/kubeconfig`;
const ANNOTATION = "flannel.alpha.coreos.com";

export class KubePeers implements FlannelSource {
  readonly kind = "kube";
  readonly cluster: Cluster;
  readonly #world: World;

  private constructor(world: World, cluster: Cluster) {
    this.#world = world;
    this.cluster = cluster;
  }

  /** Starts the control plane on the world's hub, and gives every host its kubeconfig. */
  static async start(world: World): Promise<KubePeers> {
    const cluster = await startCluster({ host: world.hub });
    const hub = await cluster.join("");
    await cluster.inControl([
      "sh",
      "-ec",
      `for net in 192.0.2.0/24 198.51.100.0/24; do ip route add $net via ${hub}; done`,
    ]);
    const account = await grant(cluster);
    const token = await cluster.api.token(account.namespace, account.name);
    const kubeconfig = JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "default",
      clusters: [
        {
          name: "default",
          cluster: {
            server: `https://${CONTROL.server}:${CONTROL.port}`,
            "certificate-authority-data": Buffer.from(cluster.admin.ca).toString("base64"),
          },
        },
      ],
      users: [{ name: "default", user: { token } }],
      contexts: [{ name: "default", context: { cluster: "default", user: "default" } }],
    });
    await Promise.all(world.hosts.map((host) => host.write(KUBECONFIG, kubeconfig)));
    return new KubePeers(world, cluster);
  }

  async network(config: object): Promise<void> {
    await Promise.all(this.#world.hosts.map((host) => host.write(NET_CONF, JSON.stringify(config))));
  }

  /** A Node with podCIDRs, once; where the host is, its agent tells. */
  async add(host: OverlayHost): Promise<void> {
    const nodes = await this.cluster.api.list("v1", "Node");
    if (nodes.some(({ metadata }) => metadata.name === host.name)) return;
    const podCIDRs = [`${subnetOf(host, 4)}/24`, `${subnetOf(host, 6)}/64`];
    await this.cluster.addNode({ name: host.name, addresses: [host.place[4], host.place[6]], podCIDRs });
  }

  async remove(host: OverlayHost): Promise<void> {
    await this.cluster.api.delete(nodeOf(host));
  }

  flags(): readonly string[] {
    return ["--kube-subnet-mgr", `--kubeconfig-file=${KUBECONFIG}`, `--net-config-path=${NET_CONF}`];
  }

  async lease(host: OverlayHost, _: readonly [string, string], mac: string): Promise<void> {
    const backend = JSON.stringify({ VNI: 1, VtepMAC: mac });
    const annotations = {
      [`${ANNOTATION}/backend-type`]: "vxlan",
      [`${ANNOTATION}/backend-data`]: backend,
      [`${ANNOTATION}/backend-v6-data`]: backend,
      [`${ANNOTATION}/public-ip`]: host.place[4],
      [`${ANNOTATION}/public-ipv6`]: host.place[6],
      [`${ANNOTATION}/kube-subnet-manager`]: "true",
    };
    await this.cluster.api.patch(nodeOf(host), { metadata: { annotations } });
  }

  async leases(): Promise<string> {
    const nodes = await this.cluster.api.list("v1", "Node");
    const lines = nodes.map(({ metadata: { name, annotations } }) => `${name} ${sorted(annotations)}`);
    return lines.sort().join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.stop();
  }
}

/** Creates the objects of the RBAC file and says whom they are for. */
async function grant(cluster: Cluster): Promise<{ readonly name: string; readonly namespace: string }> {
  const objects = await manifestsOf(RBAC);
  for (const object of objects) await createUnlessThere(cluster, object);
  const account = objects.find(({ kind }) => kind === "ServiceAccount")?.metadata;
  if (account?.namespace === undefined) throw new Error(`${RBAC} has no ServiceAccount`);
  return { name: account.name, namespace: account.namespace };
}

async function createUnlessThere(cluster: Cluster, object: Manifest): Promise<void> {
  const there =
    object.kind === "Namespace" &&
    (await cluster.api.list("v1", "Namespace")).some(({ metadata }) => metadata.name === object.metadata.name);
  if (!there) await cluster.api.create(object);
}

function nodeOf(host: OverlayHost) {
  return { apiVersion: "v1", kind: "Node", metadata: { name: host.name } } as const;
}

function sorted(annotations: unknown): string {
  const entries = Object.entries(typeof annotations === "object" && annotations !== null ? annotations : {});
  return JSON.stringify(entries.filter(([key]) => key.startsWith(ANNOTATION)).sort());
}
