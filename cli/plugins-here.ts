/**
 * Our own plugins without a process each: what `tsnet up` and its like add goes through them by the hundred, and the
 * start of a process costs more than a plugin's work.
 *
 * DEL stays with processes: the kernel lets whoever deletes a link wait, and then many wait beside each other.
 *
 * @module
 */
import { isThisExecutable } from "../lib/cni/delegate.ts";
import { answerCall } from "../lib/cni/serve.ts";
import { CNI_VERSIONS } from "../lib/cni/supported.ts";
import type { Plugin } from "../lib/cni/types.ts";
import { type Execution, executeByProcess } from "../lib/runtime/execute.ts";
import type { RunResult } from "../lib/sys/run.ts";

const HERE: ReadonlyMap<string, () => Promise<Plugin>> = new Map([
  ["tsnet", async (): Promise<Plugin> => (await import("../plugins/tsnet/main.ts")).plugin],
  ["bridge", async (): Promise<Plugin> => (await import("../plugins/bridge/main.ts")).plugin],
  ["portmap", async (): Promise<Plugin> => (await import("../plugins/portmap/main.ts")).plugin],
]);

/** Carries out ADD of a plugin that this executable is, in this process; everything else by a process. */
export async function executeHere(execution: Execution): Promise<RunResult> {
  const { path, env, stdin } = execution;
  const load = HERE.get(path.slice(path.lastIndexOf("/") + 1));
  if (load === undefined || env.CNI_COMMAND !== "ADD" || !isThisExecutable(path)) return executeByProcess(execution);
  const plugin = await load();
  const { exitCode, stdout } = await answerCall(plugin, plugin.versions ?? CNI_VERSIONS, { env, stdin: () => stdin });
  return { exitCode, stdout, stderr: "" };
}
