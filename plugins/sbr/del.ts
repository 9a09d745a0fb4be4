/**
 * DEL: the rules go. The routes go with the interface, which the plugin before us removes next; moved back for that
 * moment, they would lead what other interfaces send astray.
 *
 * @module
 */
import type { CniIp, PluginCall } from "../../lib/cni/types.ts";
import { bitsOf, sameAddress } from "../../lib/net/address.ts";
import { addrList } from "../../lib/netlink/addr.ts";
import { RTPROT_TSNET } from "../../lib/netlink/constants.ts";
import { linkGet } from "../../lib/netlink/link.ts";
import { type Rule, ruleDel, ruleList } from "../../lib/netlink/rule.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { addressesOf } from "../../lib/plugin/check.ts";
import { insideIfThere } from "../../lib/plugin/netns.ts";
import { tableOf } from "./config.ts";

export function del(call: PluginCall): void {
  const table = tableOf(call);
  const given = call.conf.prevResult === undefined ? [] : addressesOf(call, call.conf.prevResult);
  insideIfThere(call.netns, (container) => {
    const addresses = addrList(container);
    const index = linkGet(container, call.ifname)?.index;
    const own = addresses.filter((addr) => addr.index === index).map(({ cidr }) => ({ address: cidr }));
    // The reference plugin does not sign its rules; what routing daemons set has a protocol of its own.
    const isOurs = ({ protocol }: Rule) => protocol === RTPROT_TSNET || protocol === 0;
    removeRules(container, [...given, ...own], (rule) => isOurs(rule) && rule.table === (table ?? rule.table));
    // Ours, of an interface that went before its DEL came.
    const isLeft = ({ protocol, src }: Rule) =>
      protocol === RTPROT_TSNET &&
      !addresses.some(({ cidr }) => src !== undefined && sameAddress(cidr.address, src.address));
    for (const rule of ruleList(container).filter(isLeft)) removeRule(container, rule);
  });
}

/** Removes the rules of these addresses for which `isMeant` holds. */
export function removeRules(
  container: RtSocket,
  ips: readonly Pick<CniIp, "address">[],
  isMeant: (rule: Rule) => boolean,
): void {
  for (const rule of ruleList(container)) {
    const { src } = rule;
    if (src === undefined || src.prefix !== bitsOf(src.address.family) || rule.isConditional || rule.table === 0)
      continue;
    if (isMeant(rule) && ips.some(({ address }) => sameAddress(address.address, src.address)))
      removeRule(container, rule);
  }
}

function removeRule(container: RtSocket, { src, table, priority, protocol }: Rule): void {
  if (src !== undefined) ruleDel(container, { src, table, priority, ...(protocol === 0 ? {} : { protocol }) });
}
