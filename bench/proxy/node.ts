/**
 * A fresh node for every measurement: a namespace that sees the API server on one side and, on the other, a machine
 * that answers at every endpoint's address.
 *
 * @module
 */
import type { Socket } from "bun";
import { type Netns, openNetns } from "../../lib/sys/netns.ts";
import type { Cluster } from "../../test/cluster/cluster.ts";
import { inTurn } from "../probe.ts";
import { ENDPOINT_PORT, ENDPOINTS, SERVICE_PORT } from "./services.ts";
import { now } from "./watcher.ts";

export const NODE_NAME = "bench";
const NODE_ADDRESS = "192.168.70.1";
const PODS_ADDRESS = "192.168.70.2";
const PODS = "pods";

export interface BenchNode {
  /** The namespace's name on the test host. */
  readonly name: string;
  /** Its path on this machine. */
  readonly path: string;
  /** Connects to a service once; returns how long that took in ms, undefined if it does not within `patienceMs`. */
  dial(address: string, patienceMs: number): Promise<number | undefined>;
  remove(): Promise<void>;
}

/** The machine behind all endpoints, and the Node object: once. */
export async function makePods(cluster: Cluster): Promise<void> {
  await cluster.host.addNetns(PODS);
  await cluster.host.sh(`ip -n ${PODS} route add local ${ENDPOINTS} dev lo`);
  await cluster.addNode({ name: NODE_NAME, addresses: [NODE_ADDRESS], podCIDRs: ["10.127.0.0/24"] });
  const pods = openNetns(pathOf(cluster, PODS));
  inTurn(pods, () =>
    Bun.listen({
      hostname: "0.0.0.0",
      port: ENDPOINT_PORT,
      socket: { open: (socket) => void socket.end(), data() {}, error() {} },
    }),
  );
}

export async function makeNode(cluster: Cluster, name: string): Promise<BenchNode> {
  const { host } = cluster;
  await host.addNetns(name);
  await host.sh(`
    ip -n ${name} link add pods0 type veth peer name ${name} netns ${PODS}
    ip -n ${name} addr add ${NODE_ADDRESS}/24 dev pods0
    ip -n ${name} link set pods0 up
    ip -n ${PODS} addr add ${PODS_ADDRESS}/24 dev ${name}
    ip -n ${PODS} link set ${name} up
    ip -n ${name} route add ${ENDPOINTS} via ${PODS_ADDRESS}
    ip -n ${name} route add 10.96.0.0/12 via ${PODS_ADDRESS}
  `);
  await cluster.join(name);
  const path = pathOf(cluster, name);
  const netns = openNetns(path);
  return {
    name,
    path,
    dial: (address, patienceMs) => dial(netns, address, patienceMs),
    async remove() {
      netns.close();
      // The kernel takes a namespace's links away some time after the namespace: the next node has the same address.
      await host.sh(`ip -n ${PODS} link delete ${name}; ip netns delete ${name}`);
    },
  };
}

async function dial(netns: Netns, hostname: string, patienceMs: number): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  let opened: Socket | undefined;
  const start = now();
  const socket = {
    open: (self: Socket) => {
      opened = self;
      resolve(now() - start);
    },
    data() {},
    error() {},
    connectError: () => resolve(undefined),
  };
  inTurn(netns, () => Bun.connect({ hostname, port: SERVICE_PORT, socket })).catch(() => resolve(undefined));
  const timer = setTimeout(() => resolve(undefined), patienceMs);
  return await promise.finally(() => {
    clearTimeout(timer);
    opened?.terminate();
  });
}

function pathOf(cluster: Cluster, name: string): string {
  return `/proc/${cluster.host.pid}/root/run/netns/${name}`;
}
