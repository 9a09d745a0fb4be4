/**
 * The IPAM plugin that a config names: in this process where that is this very executable, else by exec.
 *
 * @module
 */
import { delegate, findPlugin, isThisExecutable } from "../cni/delegate.ts";
import type { CniCommand, CniResult, PluginCall } from "../cni/types.ts";
import { parseResultText } from "../cni/versions.ts";

const OURS = "host-local";

/** Has the IPAM plugin `type` carry out the call's verb, or `verb` if given. Only ADD has a result. */
export async function callIpam(
  type: string,
  call: PluginCall,
  verb: CniCommand = call.command,
): Promise<CniResult | undefined> {
  if (type === OURS && isThisExecutable(findPlugin(type, call.path))) return callOurs(call, verb);
  const stdout = await delegate(verb, type, call);
  return verb === "ADD" ? parseResultText(stdout, call.conf.cniVersion) : undefined;
}

async function callOurs(call: PluginCall, verb: CniCommand): Promise<CniResult | undefined> {
  const { hostLocal } = await import("./host-local.ts");
  switch (verb) {
    case "ADD":
      return hostLocal.add(call);
    case "DEL":
      hostLocal.del(call);
      return undefined;
    case "CHECK":
      hostLocal.check(call);
      return undefined;
    case "GC":
      hostLocal.gc(call);
      return undefined;
    case "STATUS":
      hostLocal.status(call);
      return undefined;
  }
}
