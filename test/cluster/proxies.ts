/**
 * Proxies on the nodes of a cluster: the real kube-proxy and ours, started the same way, by the same configuration.
 *
 * @module
 */
import { TSNET } from "../e2e/host.ts";
import { anotherWorld, NODE_NAME, ADDRESSES as PLACES, POD_CIDRS, type World } from "../e2e/proxy/world.ts";
import type { Cluster } from "./cluster.ts";
import { Daemon } from "./daemon.ts";

export type Program = "kube-proxy" | "tsnet";
export type Mode = "iptables" | "nftables";

export const MODES: readonly Mode[] = ["iptables", "nftables"];

export interface ProxyOptions {
  readonly program: Program;
  readonly mode: Mode;
  readonly world: World;
  /** Keys of KubeProxyConfiguration, beside or instead of those that every test wants. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/**
 * A node with its pods, a peer node with pods and somebody beyond, as test/e2e/proxy/world.ts says, joined to the
 * control plane. All of a cluster's have the same addresses, and share the Node object.
 */
export async function addWorld(cluster: Cluster, prefix: string): Promise<World> {
  const world = await anotherWorld(cluster.host, prefix);
  await cluster.join(world.netns("node"));
  return world;
}

/** The Node object of all worlds. */
export async function addWorldNode(cluster: Cluster, zone = "zone-a"): Promise<void> {
  const { 4: ipv4, 6: ipv6 } = PLACES.node;
  const labels = { "topology.kubernetes.io/zone": zone };
  await cluster.addNode({ name: NODE_NAME, addresses: [ipv4, ipv6], podCIDRs: POD_CIDRS, labels });
}

/** Starts a proxy on a world's node. It has programmed nothing yet: see `Marker`. */
export async function startProxy(cluster: Cluster, options: ProxyOptions): Promise<Daemon> {
  const { program, mode, world } = options;
  const netns = world.netns("node");
  const file = `/run/${netns}-proxy.conf`;
  await cluster.host.ok(["tee", file], { stdin: JSON.stringify(configOf(cluster, options), null, 2) });
  const daemon = new Daemon(cluster.host, {
    name: `${program} in ${mode} mode on ${netns}`,
    netns,
    log: `/run/${netns}-proxy.log`,
    argv: [...(program === "tsnet" ? [TSNET, "proxy"] : [cluster.programs.proxy]), `--config=${file}`],
  });
  await daemon.start();
  return daemon;
}

function configOf(cluster: Cluster, { mode, config = {} }: ProxyOptions): object {
  // The first change goes out at once and those after it soon: a test waits for each.
  const periods = { minSyncPeriod: "10ms", syncPeriod: "30s" };
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig: cluster.proxyKubeconfig },
    hostnameOverride: NODE_NAME,
    mode,
    detectLocalMode: "NodeCIDR",
    iptables: periods,
    nftables: periods,
    // These are the machine's, which a namespace may not write.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    ...config,
  };
}
