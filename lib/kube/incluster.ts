/**
 * The access that a pod gets from the cluster that it runs in: its service account's token and authority, which the
 * kubelet replaces while we run, and the server's address in the environment.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { isFile } from "../sys/files.ts";
import type { Access } from "./access.ts";

/** Where the kubelet mounts a service account. */
export const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * @param directory of `token` and `ca.crt`.
 * @throws TsnetError `environment` outside of a pod.
 */
export function inClusterAccess(
  env: Readonly<Record<string, string | undefined>>,
  directory = SERVICE_ACCOUNT,
): Access {
  const host = env.KUBERNETES_SERVICE_HOST;
  const port = env.KUBERNETES_SERVICE_PORT;
  if (!host || !port) {
    throw new TsnetError(
      "neither kubeconfig nor master is given, and this is no pod (no KUBERNETES_SERVICE_HOST and _PORT in the environment)",
      { code: "environment", op: "find API server" },
    );
  }
  const ca = `${directory}/ca.crt`;
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    serverName: undefined,
    insecure: false,
    ca: isFile(ca) ? { file: ca } : undefined,
    cert: undefined,
    key: undefined,
    tokens: [{ file: `${directory}/token` }],
    basic: undefined,
    exec: undefined,
    headers: [],
    proxyUrl: undefined,
  };
}
