/**
 * Our executable in the place of kube-proxy's in a cluster that kubeadm made: the same path, arguments, config map and
 * service account, in a mount namespace that stands for the container.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TSNET } from "../e2e/host.ts";
import { shortly } from "../e2e/proxy/prober.ts";
import { NODE_NAME, type Pod, type World } from "../e2e/proxy/world.ts";
import { kubeadmConfig } from "../proxy/config/kubeadm.ts";
import { type Cluster, CONTROL, startCluster } from "./cluster.ts";
import { Daemon } from "./daemon.ts";
import { Marker } from "./marker.ts";
import { endpointOf, FAMILIES, service, slice } from "./objects.ts";
import { addWorld, addWorldNode } from "./proxies.ts";

const VIP = { 4: "10.96.4.1", 6: "fd00:10:96::4:1" } as const;
const PORTS = [{ port: 80 }];
const SECRETS = "/var/run/secrets/kubernetes.io/serviceaccount";

// What kubeadm 1.36 writes into the config map kube-proxy, for pods in these networks.
const KUBECONFIG = `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: ${SECRETS}/ca.crt
    server: https://${CONTROL.server}:${CONTROL.port}
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: ${SECRETS}/token
`;
const CONFIG = kubeadmConfig("10.244.0.0/16,fd00:10:244::/48");

let cluster: Cluster;
let marker: Marker;
beforeAll(async () => {
  cluster = await startCluster();
  await addWorldNode(cluster);
  marker = await Marker.create(cluster);
  await cluster.api.create(service("web", [VIP[4], VIP[6]], PORTS));
  for (const family of FAMILIES) await cluster.api.create(slice("web", family, [{ pod: "local1" }], PORTS));
});
afterAll(async () => await cluster.stop());

describe("called as kubeadm's DaemonSet calls kube-proxy", () => {
  test("it programs Services, and goes on when its token is replaced and the old one is no good any more", async () => {
    const world = await addWorld(cluster, "kubeadm-");
    const proxy = await container(world, { "config.conf": CONFIG, "kubeconfig.conf": KUBECONFIG });
    await marker.passed([world], [proxy]);
    await answers(world, "local1");
    await newServiceAccount();
    // Ends the watches, which the server would let live on, and has it forget that the old token was good.
    await cluster.stopApi();
    await cluster.startApi();
    await endpoint("remote1");
    await marker.passed([world], [proxy]);
    await answers(world, "remote1");
    expect(await proxy.stop("TERM")).toBe(0);
    await answers(world, "remote1");
    await world.prober.stop();
  });

  test("with no kubeconfig it takes server, token and authority from its pod", async () => {
    const world = await addWorld(cluster, "incluster-");
    const config = CONFIG.replace("/var/lib/kube-proxy/kubeconfig.conf", '""');
    const env = { KUBERNETES_SERVICE_HOST: CONTROL.server, KUBERNETES_SERVICE_PORT: String(CONTROL.port) };
    const proxy = await container(world, { "config.conf": config }, env);
    await endpoint("local2");
    await marker.passed([world], [proxy]);
    await answers(world, "local2");
    await proxy.stop();
    await world.prober.stop();
  });
});

/** What the container of the DaemonSet sees: the executable, the config map and the service account, each mounted. */
async function container(
  world: World,
  configMap: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<Daemon> {
  const netns = world.netns("node");
  const mounted = `/run/${netns}-config-map`;
  await cluster.host.ok(["mkdir", "-p", mounted]);
  for (const [name, text] of Object.entries(configMap))
    await cluster.host.ok(["tee", `${mounted}/${name}`], { stdin: text });
  const script = `
    mount -t tmpfs tmpfs /usr/local/bin
    touch /usr/local/bin/kube-proxy
    mount --bind ${TSNET} /usr/local/bin/kube-proxy
    mkdir -p /var/lib/kube-proxy ${SECRETS}
    mount --bind ${mounted} /var/lib/kube-proxy
    mount --bind ${cluster.serviceAccount} ${SECRETS}
    exec /usr/local/bin/kube-proxy --config=/var/lib/kube-proxy/config.conf --hostname-override=${NODE_NAME}
  `;
  const proxy = new Daemon(cluster.host, {
    name: `the container on ${netns}`,
    netns,
    log: `/run/${netns}-proxy.log`,
    argv: ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
    env,
  });
  await proxy.start();
  return proxy;
}

/** The service account anew, of the same name: all tokens of the former are void. */
async function newServiceAccount(): Promise<void> {
  const account = {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "kube-proxy", namespace: "kube-system" },
  };
  await cluster.api.delete(account);
  await cluster.api.create(account);
  await cluster.renewToken();
}

async function endpoint(pod: Pod): Promise<void> {
  for (const family of FAMILIES) {
    await cluster.api.patch(slice("web", family, [], []), { endpoints: [endpointOf({ pod }, family)] });
  }
}

async function answers({ prober, netns }: World, pod: Pod): Promise<void> {
  for (const family of FAMILIES) {
    const question = { protocol: "tcp", address: VIP[family], port: 80 } as const;
    expect(shortly(await prober.ask(netns("local2"), question))).toMatch(`${pod} as`);
  }
}
