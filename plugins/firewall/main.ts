/**
 * The firewall plugin: what the host forwards to and from a container is accepted, as far as the administrator's chain
 * and the ingress policy let it. It comes after the plugin that gave the container its addresses, and hands that
 * one's result on unchanged.
 *
 * @module
 */
import { keptAttachments } from "../../lib/cni/attachments.ts";
import { versionsFrom } from "../../lib/cni/supported.ts";
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { Backend, Firewall, ForwardWish } from "../../lib/firewall/types.ts";
import { type ChainPlugin, type Kit, ownKit } from "../../lib/plugin/kit.ts";
import { Undo } from "../../lib/undo.ts";

export const plugin: ChainPlugin = {
  name: "firewall",
  versions: versionsFrom("0.4.0"),

  async validate(call) {
    (await import("./config.ts")).parseConfig(call);
  },

  async foreseen(call) {
    return { backend: await wantedBackend(call), wishes: { forward: await plan(call, previousResult(call)) } };
  },

  async add(call, kit = ownKit) {
    const result = previousResult(call);
    const { wish, firewall } = await prepare(call, result, kit);
    await firewall.attach(call.attachment, { forward: wish });
    if (wish.ingress !== "isolated") return result;
    try {
      (await import("./port.ts")).isolatePort(result);
    } catch (error) {
      const undo = new Undo();
      undo.add("the rules", () => firewall.detach(call.attachment, ["forward"]));
      throw await undo.unwind(error);
    }
    return result;
  },

  // A config that ADD refused must not stand in the way of removing what an earlier one did.
  async del(call, kit = ownKit) {
    const { isRecorded } = await import("../../lib/firewall/state.ts");
    const addresses = call.conf.prevResult?.ips.map(({ address }) => address.address) ?? [];
    if (!isRecorded(call.attachment, "forward")) {
      await (await import("./unrecorded.ts")).removeSources(call, addresses);
    }
    await (await openFirewall(call, kit)).detach(call.attachment, ["forward"], addresses);
  },

  async check(call, kit = ownKit) {
    const result = previousResult(call);
    const { wish, firewall } = await prepare(call, result, kit);
    await firewall.check(call.attachment, { forward: wish });
    if (wish.ingress === "isolated") (await import("./port.ts")).checkPort(result);
  },

  async gc(call, kit = ownKit) {
    const keep = keptAttachments(call.conf);
    if (keep === undefined) return;
    await (await openFirewall(call, kit)).collect(call.conf.name, keep, ["forward"]);
  },

  async status(call, kit = ownKit) {
    const { parseConfig } = await import("./config.ts");
    const { backend, ingress } = parseConfig(call);
    const isFirewalld = await usesFirewalld(call);
    if (backend === "firewalld") {
      const { ensureRunning, realFirewalld } = await import("../../lib/firewalld/firewalld.ts");
      await ensureRunning(realFirewalld());
    }
    if (isFirewalld && ingress === "open") return;
    await (await openFirewall(call, kit)).ensureUsable();
  },
};

async function prepare(
  call: PluginCall,
  result: CniResult,
  kit: Kit,
): Promise<{ readonly wish: ForwardWish; readonly firewall: Firewall }> {
  return { wish: await plan(call, result), firewall: await openFirewall(call, kit) };
}

async function plan(call: PluginCall, result: CniResult): Promise<ForwardWish> {
  const [{ parseConfig }, { planForward }] = await Promise.all([import("./config.ts"), import("./plan.ts")]);
  const config = parseConfig(call);
  // What can be refused is refused before anybody is asked.
  planForward(config, result, false);
  return planForward(config, result, await usesFirewalld(call));
}

/** Unset, the back end is firewalld where that runs, as the reference has it; for CHECK the one that ADD found. */
async function usesFirewalld(call: PluginCall): Promise<boolean> {
  const { backendOf } = await import("./config.ts");
  const backend = backendOf(call);
  if (backend !== undefined) return backend === "firewalld";
  if (call.command === "CHECK") {
    const { recordedWith } = await import("../../lib/firewall/state.ts");
    const keepers = recordedWith(call.attachment, "forward");
    if (keepers.length > 0) return keepers.includes("firewalld");
  }
  const { realFirewalld } = await import("../../lib/firewalld/firewalld.ts");
  return await realFirewalld().isRunning("likely");
}

async function openFirewall(call: PluginCall, kit: Kit): Promise<Firewall> {
  return await kit.firewall(await wantedBackend(call));
}

/** Walls are ours also where firewalld accepts. */
async function wantedBackend(call: PluginCall): Promise<Backend | undefined> {
  const { backendOf } = await import("./config.ts");
  const backend = backendOf(call);
  return backend === "firewalld" ? undefined : backend;
}

function previousResult({ conf: { prevResult } }: PluginCall): CniResult {
  if (prevResult !== undefined) return prevResult;
  throw new TsnetError("missing prevResult from earlier plugin", { code: "decoding", op: "firewall" });
}
