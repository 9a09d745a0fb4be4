/**
 * Calling another plugin, such as the IPAM that a config names: found in CNI_PATH, given the same input.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { isFile, sameFile } from "../sys/files.ts";
import { type RunResult, run } from "../sys/run.ts";
import { writeStderr } from "../sys/stdio.ts";
import { fromCniError, PluginError } from "./errors.ts";
import type { CniCommand, PluginCall } from "./types.ts";

/**
 * The path of the executable of a plugin type: the first directory that has it counts.
 *
 * @throws TsnetError `invalid` for a type that is no file name, `not-found`.
 */
export function findPlugin(type: string, path: readonly string[]): string {
  if (type === "" || type === "." || type === ".." || /[/\0]/.test(type)) {
    throw new TsnetError(`invalid plugin name: ${JSON.stringify(type)}`, { code: "invalid", op: "find plugin" });
  }
  for (const directory of path) {
    const file = `${directory}/${type}`;
    if (isFile(file)) return file;
  }
  throw new TsnetError(`failed to find plugin "${type}" in path [${path.join(" ")}]`, {
    code: "not-found",
    op: "find plugin",
  });
}

/** Whether `path` is this very executable, under whatever name: its work can be done without starting it. */
export function isThisExecutable(path: string): boolean {
  return sameFile(path, "/proc/self/exe");
}

/**
 * Runs the plugin `type` with `verb` on the call's own input and returns its standard output; its standard error
 * is ours.
 *
 * @param inheritFd a descriptor that it keeps open, such as a lock that has to last for as long as it runs.
 * @throws PluginError the error that it answered with; TsnetError `not-found`, `invalid` as {@link findPlugin}.
 */
export async function delegate(verb: CniCommand, type: string, call: PluginCall, inheritFd?: number): Promise<string> {
  const result = await run(findPlugin(type, call.path), [], {
    env: environmentOf(verb, call),
    stdin: call.stdin,
    light: true,
    ...(inheritFd === undefined ? {} : { inheritFd }),
  });
  if (result.stderr !== "") writeStderr(result.stderr);
  if (result.exitCode !== 0) throw failureOf(type, result);
  return result.stdout;
}

function environmentOf(verb: CniCommand, call: PluginCall): Record<string, string | undefined> {
  return {
    ...process.env,
    CNI_COMMAND: verb,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifname,
    CNI_ARGS: call.args,
    CNI_PATH: call.path.join(":"),
  };
}

function failureOf(type: string, { stdout, stderr, exitCode }: RunResult): PluginError {
  try {
    return fromCniError(JSON.parse(stdout));
  } catch {
    const said = (stdout.trim() || stderr.trim()).slice(0, 1000);
    return new PluginError(`plugin ${type} failed with exit code ${exitCode}${said === "" ? "" : `: ${said}`}`, 999);
  }
}
