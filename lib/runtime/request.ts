/**
 * What one plugin of a chain is given: its config with what the runtime puts in, and the environment.
 *
 * @module
 */
import type { CniArgs } from "./cache.ts";
import type { JsonObject, ListedPlugin, NetworkList } from "./list.ts";

/** One attachment as a runtime asks for it. */
export interface RuntimeCall {
  readonly containerId: string;
  /** Path of the namespace; on DEL it may be empty or gone. */
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS. On DEL and CHECK, what ADD was given if absent. */
  readonly args?: CniArgs;
  /** Values by capability; a plugin gets those that it declares. On DEL and CHECK, what ADD was given if absent. */
  readonly capabilityArgs?: JsonObject;
}

export type Verb = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS";

/** The config of `plugin` as JSON text. `more` holds what the verb adds: prevResult, valid attachments. */
export function configFor(
  { name, cniVersion }: NetworkList,
  plugin: ListedPlugin,
  more: JsonObject,
  capabilityArgs: JsonObject = {},
): string {
  const runtimeConfig = Object.fromEntries(
    plugin.capabilities.filter((key) => Object.hasOwn(capabilityArgs, key)).map((key) => [key, capabilityArgs[key]]),
  );
  const injected: JsonObject = {
    cniVersion,
    name,
    ...more,
    ...(Object.keys(runtimeConfig).length === 0 ? {} : { runtimeConfig }),
  };
  // Plugins read keys without regard to case: one of the config's own must not stand beside an injected one.
  const taken = new Set(Object.keys(injected).map((key) => key.toLowerCase()));
  const kept = Object.entries(plugin.raw).filter(([key]) => !taken.has(key.toLowerCase()));
  return JSON.stringify({ ...injected, ...Object.fromEntries(kept) });
}

/** The environment of a plugin call: ours, and the protocol's variables. GC and STATUS are about no container. */
export function environmentFor(
  verb: Verb,
  pluginDirs: readonly string[],
  call: RuntimeCall = { containerId: "", netns: "", ifname: "" },
): Readonly<Record<string, string | undefined>> {
  return {
    ...process.env,
    CNI_COMMAND: verb,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifname,
    CNI_ARGS: (call.args ?? []).map((pair) => pair.join("=")).join(";"),
    CNI_PATH: pluginDirs.join(":"),
  };
}
