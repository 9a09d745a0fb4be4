/**
 * The portmap plugin: ports of the host lead to the container. It comes after the plugin that gave the container
 * its addresses, and hands that one's result on unchanged.
 *
 * Most containers publish nothing: then nothing is loaded.
 *
 * @module
 */
import type { CniResult, Plugin, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { Undo } from "../../lib/undo.ts";
import { hasMappings } from "./config.ts";

export const plugin: Plugin = {
  name: "portmap",

  async add(call) {
    const result = previousResult(call, "must be called as chained plugin");
    if (!hasMappings(call)) return result;
    const { wish, firewall } = await prepare(call, result);
    if (wish === undefined) return result;
    const attached = firewall.attach(call.attachment, { publish: wish });
    // While the filter's program runs.
    const hairpin = import("./hairpin.ts").then(({ allowHairpin }) => allowHairpin(result, wish));
    const [rules, port] = await Promise.allSettled([attached, hairpin]);
    if (rules.status === "rejected") throw rules.reason;
    if (port.status === "rejected") {
      const undo = new Undo();
      undo.add("the published ports", () => firewall.detach(call.attachment, ["publish"]));
      throw await undo.unwind(port.reason);
    }
    return result;
  },

  // A config that ADD refused must not stand in the way of removing what an earlier one did.
  async del(call) {
    const { isRecorded } = await import("../../lib/firewall/state.ts");
    if (!hasMappings(call) && !isRecorded(call.attachment, "publish")) return;
    await (await openFirewall(call)).detach(call.attachment, ["publish"]);
  },

  async check(call) {
    const result = previousResult(call, "required prevResult missing");
    if (!hasMappings(call)) return;
    const { wish, firewall } = await prepare(call, result);
    if (wish !== undefined) await firewall.check(call.attachment, { publish: wish });
  },

  async gc(call) {
    const { name: network, validAttachments } = call.conf;
    if (validAttachments === undefined) return;
    const keep = validAttachments.map(({ containerID, ifname }) => ({ network, containerId: containerID, ifname }));
    await (await openFirewall(call)).collect(network, keep, ["publish"]);
  },

  async status(call) {
    const { parseConfig } = await import("./config.ts");
    const { backend } = parseConfig(call);
    const { chooseFirewall } = await import("../../lib/firewall/firewall.ts");
    await (await chooseFirewall(backend)).ensureUsable();
  },
};

async function prepare(call: PluginCall, result: CniResult) {
  const [{ parseConfig }, { planPublish }, { chooseFirewall }] = await Promise.all([
    import("./config.ts"),
    import("./plan.ts"),
    import("../../lib/firewall/firewall.ts"),
  ]);
  const config = parseConfig(call);
  return { wish: planPublish(config, result, call.ifname), firewall: await chooseFirewall(config.backend) };
}

async function openFirewall(call: PluginCall) {
  const [{ backendOf }, { chooseFirewall }] = await Promise.all([
    import("./config.ts"),
    import("../../lib/firewall/firewall.ts"),
  ]);
  return await chooseFirewall(backendOf(call));
}

function previousResult(call: PluginCall, message: string): CniResult {
  const { prevResult } = call.conf;
  if (prevResult === undefined) throw new TsnetError(message, { code: "decoding", op: "portmap" });
  return prevResult;
}
