/**
 * The portmap plugin: ports of the host lead to the container. It comes after the plugin that gave the container
 * its addresses, and hands that one's result on unchanged.
 *
 * Most containers publish nothing: then nothing is loaded.
 *
 * @module
 */
import { keptAttachments } from "../../lib/cni/attachments.ts";
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type ChainPlugin, type FilterWishes, type Kit, ownKit } from "../../lib/plugin/kit.ts";
import { Undo } from "../../lib/undo.ts";
import { backendOf, hasMappings, parseConfig } from "./config.ts";

export const plugin: ChainPlugin = {
  name: "portmap",

  async validate(call) {
    if (hasMappings(call)) parseConfig(call);
  },

  async foreseen(call) {
    return hasMappings(call) ? await prepare(call, previousResult(call, CHAINED)) : undefined;
  },

  async add(call, kit = ownKit) {
    const result = previousResult(call, CHAINED);
    if (!hasMappings(call)) return result;
    const wanted = await prepare(call, result);
    if (wanted === undefined) return result;
    await publish(call, kit, result, wanted);
    return result;
  },

  // A config that ADD refused must not stand in the way of removing what an earlier one did.
  async del(call, kit = ownKit) {
    const { isRecorded } = await import("../../lib/firewall/state.ts");
    if (!hasMappings(call) && !isRecorded(call.attachment, "publish")) return;
    await (await kit.firewall(backendOf(call))).detach(call.attachment, ["publish"]);
  },

  async check(call, kit = ownKit) {
    const result = previousResult(call, "required prevResult missing");
    if (!hasMappings(call)) return;
    const wanted = await prepare(call, result);
    if (wanted !== undefined) await (await kit.firewall(wanted.backend)).check(call.attachment, wanted.wishes);
  },

  async gc(call, kit = ownKit) {
    const keep = keptAttachments(call.conf);
    if (keep === undefined) return;
    await (await kit.firewall(backendOf(call))).collect(call.conf.name, keep, ["publish"]);
  },

  async status(call, kit = ownKit) {
    await (await kit.firewall(parseConfig(call).backend)).ensureUsable();
  },
};

const CHAINED = "must be called as chained plugin";

/** What the config asks of the filter; undefined where the container has no address to lead ports to. */
async function prepare(call: PluginCall, result: CniResult): Promise<FilterWishes | undefined> {
  const config = parseConfig(call);
  const publish = (await import("./plan.ts")).planPublish(config, result, call.ifname);
  return publish === undefined ? undefined : { backend: config.backend, wishes: { publish } };
}

async function publish(call: PluginCall, kit: Kit, result: CniResult, { backend, wishes }: FilterWishes) {
  const firewall = await kit.firewall(backend);
  const attached = firewall.attach(call.attachment, wishes);
  // While the filter's program runs.
  const hairpin = import("./hairpin.ts").then(({ allowHairpin }) => allowHairpin(result, wishes.publish));
  const [rules, port] = await Promise.allSettled([attached, hairpin]);
  if (rules.status === "rejected") throw rules.reason;
  if (port.status === "fulfilled") return;
  const undo = new Undo();
  undo.add("the published ports", () => firewall.detach(call.attachment, ["publish"]));
  throw await undo.unwind(port.reason);
}

function previousResult(call: PluginCall, message: string): CniResult {
  const { prevResult } = call.conf;
  if (prevResult === undefined) throw new TsnetError(message, { code: "decoding", op: "portmap" });
  return prevResult;
}
