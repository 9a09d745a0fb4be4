/**
 * DEL: everything of an attachment goes, however little is left to find it by. It goes on past errors and reports
 * them all; the address is freed last, so that nobody gets it while something of the old container stands.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { isTsnetError, joinErrors } from "../../lib/errors.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { type Netns, openNetns } from "../../lib/sys/netns.ts";
import { parseRemovalConfig, type RemovalConfig } from "./config.ts";
import { hostVethName } from "./identity.ts";
import { callIpam } from "./ipam.ts";
import { removeVeth } from "./wire.ts";

export async function del(call: PluginCall): Promise<void> {
  const config = parseRemovalConfig(call);
  const errors: unknown[] = [];
  const attempt = async (work: () => Promise<unknown> | unknown) => {
    try {
      await work();
    } catch (error) {
      errors.push(error);
    }
  };
  let rules: Promise<void> | undefined;
  await attempt(async () => {
    // Everything is at hand before the filter's program starts: the kernel then waits once for the readers of link
    // and rules. A link that goes after the rules were committed waits a second time.
    using links = openLinks(call);
    await attempt(async () => {
      const remove = await rulesRemover(call, config);
      rules = attempt(remove);
    });
    links.remove();
  });
  await rules;
  await attempt(() => (config.ipamType === undefined ? undefined : callIpam(config.ipamType, call, "DEL")));
  if (errors.length > 0) throw joinErrors("DEL bridge", errors);
}

/** Loads what removes the rules, so that calling it starts the work before it first waits. */
async function rulesRemover(call: PluginCall, config: RemovalConfig): Promise<() => Promise<void>> {
  const removers: (() => Promise<void>)[] = [];
  if (config.macSpoofCheck) {
    const { removeSpoofCheck } = await import("./spoof.ts");
    removers.push(() => removeSpoofCheck(hostVethName(call.attachment)));
  }
  if (config.ipMasq || (await isMasqueraded(call))) {
    const { chooseFirewall } = await import("../../lib/firewall/firewall.ts");
    const firewall = await chooseFirewall(config.ipMasqBackend);
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

function openLinks(call: PluginCall): Disposable & { remove(): void } {
  const netns = openIfThere(call.netns);
  const host = RtSocket.open();
  const container = netns === undefined ? undefined : RtSocket.open(netns);
  return {
    remove: () => removeVeth(host, container, call.attachment),
    [Symbol.dispose]() {
      host.close();
      container?.close();
      netns?.close();
    },
  };
}

/** The runtime may have removed the namespace before it calls us, and some leave an empty file in its place. */
function openIfThere(path: string): Netns | undefined {
  if (path === "") return undefined;
  try {
    return openNetns(path);
  } catch (error) {
    if (isTsnetError(error, "not-found", "invalid-netns")) return undefined;
    throw error;
  }
}
