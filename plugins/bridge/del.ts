/**
 * DEL: everything of an attachment goes, however little is left to find it by. It goes on past errors and reports
 * them all; the address is freed last, so that nobody gets it while something of the old container stands, unless it is
 * the container's own interface that it is given back by.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { callIpam, givesBackByLink } from "../../lib/ipam/call.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import { hostVethName } from "../../lib/plugin/identity.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { openIfThere } from "../../lib/plugin/netns.ts";
import { removeVeth } from "../../lib/plugin/veth.ts";
import { parseRemovalConfig, type RemovalConfig } from "./config.ts";

export async function del(call: PluginCall, kit: Kit): Promise<void> {
  const config = parseRemovalConfig(call);
  const attempts = new Attempts("DEL bridge");
  const { ipamType } = config;
  const freeAddress = async () => void (ipamType === undefined ? undefined : await callIpam(ipamType, call, "DEL"));
  const isFirst = givesBackByLink(ipamType);
  if (isFirst) await attempts.try(freeAddress);
  let rules: Promise<void> | undefined;
  await attempts.try(async () => {
    // Everything is at hand before the filter's program starts: the kernel then waits once for the readers of link
    // and rules. A link that goes after the rules were committed waits a second time.
    using links = openLinks(call, kit);
    await attempts.try(async () => {
      const remove = await rulesRemover(call, kit, config);
      rules = attempts.try(remove);
    });
    links.remove();
  });
  await rules;
  if (!isFirst && kit.afterwards === undefined) await attempts.try(freeAddress);
  else if (!isFirst) kit.afterwards?.(freeAddress);
  attempts.finish();
}

/** Loads what removes the rules, so that calling it starts the work before it first waits. */
async function rulesRemover(call: PluginCall, kit: Kit, config: RemovalConfig): Promise<() => Promise<void>> {
  const removers: (() => Promise<void>)[] = [];
  if (config.macSpoofCheck) {
    const { removeSpoofCheck } = await import("./spoof.ts");
    removers.push(() => removeSpoofCheck(hostVethName(call.attachment)));
  }
  if (config.ipMasq || (await isMasqueraded(call))) {
    const firewall = await kit.firewall(config.ipMasqBackend);
    removers.push(() => firewall.detach(call.attachment, ["masquerade"]));
  }
  return async () => {
    await Promise.all(removers.map((remove) => remove()));
  };
}

/** The config may have changed since ADD; what was done then is on record. */
async function isMasqueraded(call: PluginCall): Promise<boolean> {
  const { isRecorded } = await import("../../lib/firewall/state.ts");
  return isRecorded(call.attachment, "masquerade");
}

function openLinks(call: PluginCall, kit: Kit): Disposable & { remove(): void } {
  const netns = openIfThere(call.netns);
  const host = RtSocket.open();
  const container = netns === undefined ? undefined : RtSocket.open(netns);
  return {
    remove: () => removeVeth(host, container, call.attachment, kit),
    [Symbol.dispose]() {
      host.close();
      container?.close();
      netns?.close();
    },
  };
}
