/**
 * Gets the real Kubernetes: kube-apiserver, kube-controller-manager and kube-proxy, built by Go from the version
 * that kubernetes/go.mod pins, once.
 *
 *     bun test/cluster/kubernetes.ts
 *
 * @module
 */
import { join, resolve } from "node:path";
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { buildTools } from "./go.ts";

/** Where each program is. */
export interface KubernetesPrograms {
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly proxy: string;
}

const MODULE = resolve(import.meta.dirname, "kubernetes");
const BUILT = resolve(import.meta.dirname, "../../.cache/kubernetes/bin");
const PROGRAMS = ["kube-apiserver", "kube-controller-manager", "kube-proxy"] as const;

/**
 * Builds the programs if need be and says where they are.
 *
 * @throws TsnetError `not-found` if there is no Go; `program` if it cannot build them.
 */
export async function kubernetesPrograms(): Promise<KubernetesPrograms> {
  try {
    await buildTools({ module: MODULE, into: BUILT, programs: PROGRAMS, starting });
  } catch (error) {
    if (!isTsnetError(error, "not-found")) throw error;
    throw new TsnetError(
      "the cluster tests run the real Kubernetes, which Go builds, and there is no go in PATH: install Go 1.26 from " +
        "https://go.dev/dl, or 1.21 or later, which fetches that by itself (npm test needs none)",
      { code: "not-found", op: "build Kubernetes", cause: error },
    );
  }
  return {
    apiServer: join(BUILT, "kube-apiserver"),
    controllerManager: join(BUILT, "kube-controller-manager"),
    proxy: join(BUILT, "kube-proxy"),
  };
}

function starting(): void {
  console.error(
    `cluster: building ${PROGRAMS.join(", ")} by Go into .cache: 3 to 5 minutes on 2 cores, this once; ` +
      "about 3 GB of memory and 2 GB in Go's own caches",
  );
}

if (import.meta.main) {
  try {
    console.log(Object.values(await kubernetesPrograms()).join("\n"));
  } catch (error) {
    console.error(`cluster: ${messageOf(error)}`);
    process.exit(1);
  }
}
