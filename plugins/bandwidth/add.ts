/**
 * ADD: both directions of a container's veth shaped, from config to result. Whatever fails takes back what was done.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { openNamespaces } from "../../lib/plugin/netns.ts";
import { Undo } from "../../lib/undo.ts";
import { applyShaping } from "./apply.ts";
import { isUnlimited, parseConfig } from "./config.ts";
import { requireHostEnd } from "./hostend.ts";
import { planShaping } from "./plan.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const limits = parseConfig(call);
  const result = call.conf.prevResult;
  if (result === undefined) {
    throw new TsnetError("must be called as chained plugin", { code: "decoding", op: "bandwidth" });
  }
  if (isUnlimited(limits)) return result;
  using namespaces = openNamespaces(call.netns);
  const { host, container } = namespaces;
  const hostEnd = requireHostEnd(host, container, call.ifname, result);
  const undo = new Undo();
  try {
    const added = applyShaping(host, planShaping(call.attachment, limits, hostEnd), undo);
    return { ...result, interfaces: [...result.interfaces, ...added] };
  } catch (error) {
    throw await undo.unwind(error);
  }
}
