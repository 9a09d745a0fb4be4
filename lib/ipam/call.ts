/**
 * The IPAM plugin that a config names: in this process where that is this very executable, else by exec.
 *
 * @module
 */
import { delegate, findPlugin, isThisExecutable } from "../cni/delegate.ts";
import type { CniCommand, CniResult, PluginCall } from "../cni/types.ts";
import { parseResultText } from "../cni/versions.ts";
import type { Undo } from "../undo.ts";

/** The verbs of an IPAM plugin of ours, each done when it returns. */
interface Ipam {
  add(call: PluginCall): CniResult;
  del(call: PluginCall): void;
  check(call: PluginCall): void;
  gc(call: PluginCall): void;
  status(call: PluginCall): void;
}

/** Ours, loaded when they are called. */
const OURS: ReadonlyMap<string, () => Promise<Ipam>> = new Map([
  ["host-local", async (): Promise<Ipam> => (await import("./host-local.ts")).hostLocal],
  ["static", async (): Promise<Ipam> => (await import("./static.ts")).staticAddresses],
]);

/**
 * Whether `type` gives an address back by way of the container's interface, which then has to be there still. Others
 * are called when it is gone, so that nobody gets an address that something of the old container holds.
 */
export function givesBackByLink(type: string | undefined): boolean {
  return type === "dhcp";
}

/** Has the IPAM plugin `type` carry out the call's verb, or `verb` if given. Only ADD has a result. */
export async function callIpam(
  type: string,
  call: PluginCall,
  verb: CniCommand = call.command,
): Promise<CniResult | undefined> {
  const ours = OURS.get(type);
  if (ours !== undefined && isThisExecutable(findPlugin(type, call.path))) return callOurs(await ours(), call, verb);
  const stdout = await delegate(verb, type, call);
  return verb === "ADD" ? parseResultText(stdout, call.conf.cniVersion) : undefined;
}

/**
 * ADD, taken back by DEL. What the plugin gave; nothing at all if it answered with nothing.
 *
 * @throws TsnetError `not-found`, `invalid` before `undo` is told, if there is no such plugin.
 */
export async function takeAddresses(type: string, call: PluginCall, undo: Undo): Promise<CniResult> {
  findPlugin(type, call.path);
  // Registered first: a plugin that failed may have reserved something, and its DEL is repeatable.
  undo.add("the address", async () => void (await callIpam(type, call, "DEL")));
  return (await callIpam(type, call, "ADD")) ?? { interfaces: [], ips: [], routes: [], dns: {} };
}

/** Reads the config of an IPAM plugin of ours, as ADD does, and touches nothing. @throws TsnetError as ADD does. */
export async function validateIpam(type: string, call: PluginCall): Promise<void> {
  if (type === "host-local") (await import("./config.ts")).parseIpamConfig(call);
  if (type === "static") (await import("./static.ts")).parseStaticConfig(call);
}

function callOurs(ipam: Ipam, call: PluginCall, verb: CniCommand): CniResult | undefined {
  switch (verb) {
    case "ADD":
      return ipam.add(call);
    case "DEL":
      ipam.del(call);
      return undefined;
    case "CHECK":
      ipam.check(call);
      return undefined;
    case "GC":
      ipam.gc(call);
      return undefined;
    case "STATUS":
      ipam.status(call);
      return undefined;
  }
}
