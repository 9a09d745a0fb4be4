/**
 * A Kubernetes control plane to try things on, until ctrl-C:
 *
 *     npm run cluster                          API server and the controllers that make EndpointSlices
 *     npm run cluster -- --no-controllers
 *
 * It says how to reach it from the machine and from inside of its host, and leaves nothing behind.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { type Cluster, CONTROL, ENDPOINT_CONTROLLERS, SERVICE_CIDRS, startCluster } from "./cluster.ts";

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`cluster: ${messageOf(error)}`);
  process.exit(1);
}

async function main(args: readonly string[]): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
  });
  const began = performance.now();
  const cluster = await startCluster(args.includes("--no-controllers") ? {} : { controllers: ENDPOINT_CONTROLLERS });
  const folder = await mkdtemp(join(tmpdir(), "tsnet-cluster-"));
  try {
    await cluster.join("");
    const kubeconfig = join(folder, "kubeconfig");
    await writeFile(kubeconfig, kubeconfigOf(cluster), { mode: 0o600 });
    console.log(welcome(cluster, kubeconfig, performance.now() - began));
    await ended;
  } finally {
    await rm(folder, { recursive: true });
    await cluster.stop();
  }
}

function welcome(cluster: Cluster, kubeconfig: string, ms: number): string {
  return `A control plane is up after ${(ms / 1000).toFixed(1)} s: API server at ${cluster.admin.server},
ClusterIPs in ${SERVICE_CIDRS[4]} and ${SERVICE_CIDRS[6]}, no nodes. From this machine:

  export KUBECONFIG=${kubeconfig}

On its host, which has network, mounts and processes of its own and is joined to it as ${CONTROL.prefix}.0.3:

  sudo nsenter --target ${cluster.host.pid} --net --mount --pid

  ${cluster.adminKubeconfig}       the administrator
  ${cluster.proxyKubeconfig}       the proxy, with the rights of examples/kubernetes/rbac.yaml
  ${cluster.serviceAccount}   the same, as a pod sees it

ctrl-C ends it and leaves nothing behind.`;
}

function kubeconfigOf({ admin }: Cluster): string {
  const base64 = (text: string | undefined) => Buffer.from(text ?? "").toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "tsnet",
    clusters: [{ name: "tsnet", cluster: { server: admin.server, "certificate-authority-data": base64(admin.ca) } }],
    users: [
      {
        name: "admin",
        user: { "client-certificate-data": base64(admin.cert), "client-key-data": base64(admin.key) },
      },
    ],
    contexts: [{ name: "tsnet", context: { cluster: "tsnet", user: "admin" } }],
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
