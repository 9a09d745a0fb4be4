/**
 * The words and environment of `tsnet cni ...` into one call: which network, which attachment, which plugins.
 *
 * cnitool's variables and its default container id hold here too, so that either tool deletes what the other added.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { messageOf } from "../lib/errors.ts";
import type { CniArgs } from "../lib/runtime/cache.ts";
import { CONF_DIR } from "../lib/runtime/load.ts";
import type { RuntimeCall } from "../lib/runtime/request.ts";
import { exists } from "../lib/sys/files.ts";
import { NETNS_DIR } from "../lib/sys/netns.ts";
import { usageError } from "./output.ts";

/** Where runtimes keep plugins. */
export const PLUGIN_DIR = "/opt/cni/bin";

/** What commander read. */
export interface CniOptions {
  readonly confDir?: string;
  readonly pluginDir?: string;
  readonly cacheDir?: string;
  readonly ifname?: string;
  readonly containerId?: string;
  readonly args?: string;
  readonly capabilityArgs?: string;
  readonly output?: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** `--conf-dir`, else NETCONFPATH, else /etc/cni/net.d. */
export function confDirOf(options: CniOptions, env: Env): string {
  return options.confDir ?? (env.NETCONFPATH || CONF_DIR);
}

/** `--plugin-dir`, else CNI_PATH, else /opt/cni/bin; directories with colons between. */
export function pluginDirsOf(options: CniOptions, env: Env): readonly string[] {
  return (options.pluginDir ?? (env.CNI_PATH || PLUGIN_DIR)).split(":").filter((directory) => directory !== "");
}

/**
 * The attachment that is meant. What is not said stays undefined: DEL and CHECK then take it from ADD.
 *
 * @throws TsnetError `usage`.
 */
export function callOf(netns: string | undefined, options: CniOptions, env: Env): RuntimeCall {
  const path = netns === undefined ? "" : netnsPath(netns);
  const containerId = options.containerId ?? (path === "" ? undefined : idOfNetns(path));
  if (containerId === undefined) {
    throw usageError("no container named", "give the namespace, or --container-id");
  }
  const args = options.args ?? (env.CNI_ARGS || undefined);
  const capabilityArgs = options.capabilityArgs ?? (env.CAP_ARGS || undefined);
  return {
    containerId,
    netns: path,
    ifname: options.ifname ?? (env.CNI_IFNAME || "eth0"),
    ...(args === undefined ? {} : { args: parseArgs(args) }),
    ...(capabilityArgs === undefined ? {} : { capabilityArgs: parseCapabilityArgs(capabilityArgs) }),
  };
}

/**
 * A path as it is, made absolute; a bare name is one of `ip netns`, also where that is gone: DEL finds by it what ADD
 * made. Only where there is none, and a file of that name is here, it is the file's.
 */
export function netnsPath(netns: string): string {
  if (netns === "") return "";
  const named = `${NETNS_DIR}/${netns}`;
  return netns.includes("/") || (!exists(named) && exists(netns)) ? resolve(netns) : named;
}

/** The container id that cnitool makes of a namespace's path. */
export function idOfNetns(path: string): string {
  return `cnitool-${createHash("sha512").update(path).digest("hex").slice(0, 20)}`;
}

function parseArgs(text: string): CniArgs {
  if (text === "") return [];
  return text.split(";").map((pair): readonly [string, string] => {
    const [key = "", value = "", ...more] = pair.split("=");
    if (key === "" || value === "" || more.length > 0) {
      throw usageError(`no CNI argument: "${pair}"`, "write KEY=VALUE, with ; between two");
    }
    return [key, value];
  });
}

function parseCapabilityArgs(text: string): Readonly<Record<string, unknown>> {
  const way = `write a JSON object, as '{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}'`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usageError(`capability arguments are not JSON (${messageOf(error)})`, way);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw usageError("capability arguments are no JSON object", way);
  }
  return { ...value };
}
