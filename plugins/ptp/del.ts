/**
 * DEL: everything of an attachment goes, however little is left to find it by. It goes on past errors and reports
 * them all; the address is freed last, so that nobody gets it while something of the old container stands.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { callIpam } from "../../lib/ipam/call.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { openIfThere } from "../../lib/plugin/netns.ts";
import { removeVeth } from "../../lib/plugin/veth.ts";
import { parseRemovalConfig, type RemovalConfig } from "./config.ts";

export async function del(call: PluginCall, kit: Kit): Promise<void> {
  const config = parseRemovalConfig(call);
  const { ipamType } = config;
  const attempts = new Attempts("DEL ptp");
  let rules: Promise<void> | undefined;
  await attempts.try(async () => {
    // The filter's program is started first and the link removed beside it: the kernel then waits once for both.
    using sockets = openSockets(call);
    await attempts.try(async () => {
      const remove = await masqueradeRemover(call, kit, config);
      rules = attempts.try(remove);
    });
    removeVeth(sockets.host, sockets.container, call.attachment);
  });
  await rules;
  await attempts.try(() => (ipamType === undefined ? undefined : callIpam(ipamType, call, "DEL")));
  attempts.finish();
}

/** Loads what removes the rules, so that calling it starts the work before it first waits. */
async function masqueradeRemover(call: PluginCall, kit: Kit, config: RemovalConfig): Promise<() => Promise<void>> {
  // The config may have changed since ADD; what was done then is on record.
  const { isRecorded } = await import("../../lib/firewall/state.ts");
  if (!config.ipMasq && !isRecorded(call.attachment, "masquerade")) return async () => {};
  const firewall = await kit.firewall(config.ipMasqBackend);
  return () => firewall.detach(call.attachment, ["masquerade"]);
}

function openSockets(call: PluginCall): Disposable & { readonly host: RtSocket; readonly container?: RtSocket } {
  const netns = openIfThere(call.netns);
  const host = RtSocket.open();
  const container = netns === undefined ? undefined : RtSocket.open(netns);
  return {
    host,
    ...(container === undefined ? {} : { container }),
    [Symbol.dispose]() {
      host.close();
      container?.close();
      netns?.close();
    },
  };
}
