/**
 * ADD: the interface's addresses get tables of their own. Whatever fails takes back what was done.
 *
 * @module
 */
import type { CniIp, CniResult, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { RTPROT_TSNET } from "../../lib/netlink/constants.ts";
import { type Route, routeAdd, routeDel, routeList, routePrepend } from "../../lib/netlink/route.ts";
import { ruleAdd, ruleDel, ruleList } from "../../lib/netlink/rule.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { addressesOf } from "../../lib/plugin/check.ts";
import { requireLink } from "../../lib/plugin/link.ts";
import { lockNamespace } from "../../lib/plugin/lock.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { Undo } from "../../lib/undo.ts";
import { parseConfig } from "./config.ts";
import { removeRules } from "./del.ts";
import { type Plan, planRouting } from "./plan.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  const result = call.conf.prevResult;
  if (result === undefined)
    throw new TsnetError("This plugin must be called as chained plugin", { code: "decoding", op: "sbr" });
  if (result.ips.length === 0)
    throw new TsnetError(`No IP addresses supplied on interface: ${call.ifname}`, { code: "invalid", op: "sbr" });
  const ips = addressesOf(call, result);
  if (ips.length === 0) return result;
  const netns = openNetns(call.netns);
  try {
    await lockNamespace(netns);
    using container = RtSocket.open(netns);
    const { index } = requireLink(container, call.ifname);
    const routes = routeList(container);
    removeLeftOver(container, routes, ips);
    const present = { rules: ruleList(container), routes };
    await apply(container, planRouting(config, { index, ips }, present));
  } finally {
    netns.close();
  }
  return result;
}

/** Rules of an earlier attachment of these addresses, whose routes went with its interface and whose DEL never came. */
function removeLeftOver(container: RtSocket, routes: readonly Route[], ips: readonly CniIp[]): void {
  const used = new Set(routes.map(({ table }) => table));
  removeRules(container, ips, ({ table, protocol }) => protocol === RTPROT_TSNET && !used.has(table));
}

async function apply(container: RtSocket, plan: Plan): Promise<void> {
  const undo = new Undo();
  try {
    for (const route of plan.add) {
      if (routeAdd(container, route)) undo.add("a route", () => void routeDel(container, route));
    }
    for (const rule of plan.rules) {
      if (ruleAdd(container, rule)) undo.add("a rule", () => void ruleDel(container, rule));
    }
    for (const route of plan.remove) {
      if (routeDel(container, route)) undo.add("a route", () => void routePrepend(container, route));
    }
  } catch (error) {
    throw await undo.unwind(error);
  }
}
