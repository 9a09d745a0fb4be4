/**
 * CHECK: each address has its rule, and the table that this leads to a way out by the interface. What others added
 * is fine.
 *
 * @module
 */
import type { CniIp, CniResult, PluginCall } from "../../lib/cni/types.ts";
import { bitsOf, formatAddress, sameAddress } from "../../lib/net/address.ts";
import { formatCidr, networkOf, sameCidr } from "../../lib/net/cidr.ts";
import type { Link } from "../../lib/netlink/link.ts";
import { describeRoute, type Route, routeList } from "../../lib/netlink/route.ts";
import { type Rule, ruleList } from "../../lib/netlink/rule.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { addressesOf, checkFailed, checkPresent, previousResult } from "../../lib/plugin/check.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { parseConfig, type SbrConfig } from "./config.ts";
import { gatewayFor, hintOf, serves, sourceOf } from "./plan.ts";

/** What is looked at. */
interface Scene {
  readonly call: PluginCall;
  readonly config: SbrConfig;
  readonly result: CniResult;
  readonly link: Link;
  readonly routes: readonly Route[];
}

export function check(call: PluginCall): void {
  const config = parseConfig(call);
  const result = previousResult(call);
  const netns = openNetns(call.netns);
  try {
    using container = RtSocket.open(netns);
    const link = checkPresent(container, call.ifname, `interface of ${call.containerId}`);
    const routes = routeList(container).filter(({ dev }) => dev === link.index);
    const rules = ruleList(container);
    for (const ip of addressesOf(call, result)) checkAddress(ip, rules, { call, config, result, link, routes });
  } finally {
    netns.close();
  }
}

function checkAddress(ip: CniIp, rules: readonly Rule[], scene: Scene): void {
  const { call, config, link, routes } = scene;
  const table = checkRule(ip, rules, scene);
  if (config.table !== undefined) return;
  const own = routes.filter((route) => route.table === table);
  const subnet = networkOf(ip.address);
  if (subnet.prefix < bitsOf(subnet.address.family) && !own.some(({ dst }) => sameCidr(dst, subnet)))
    throw checkFailed(`table ${table} in ${call.netns} lacks the route ${formatCidr(subnet)} by ${link.name}`);
  checkDefault(ip, table, own, scene);
  if (!config.addSourceHints) return;
  const hint = hintOf(ip.address, link.index);
  if (routes.some((route) => serves(route, hint))) return;
  const from = formatAddress(ip.address.address);
  throw checkFailed(
    `the main table in ${call.netns} lacks the route ${describeRoute(hint)} by ${link.name} from ${from}`,
  );
}

/** Returns the table that the address's rule leads to. */
function checkRule(ip: CniIp, rules: readonly Rule[], { call, config }: Scene): number {
  const source = sourceOf(ip);
  const rule = rules.find(
    ({ src, table }) => src !== undefined && sameCidr(src, source) && (config.table ?? table) === table && table !== 0,
  );
  if (rule !== undefined) return rule.table;
  const where = config.table === undefined ? "" : ` lookup ${config.table}`;
  throw checkFailed(`${call.netns} lacks the rule from ${formatCidr(source)}${where}`);
}

/** The default route may be one of the result's, whose gateway then comes before the address's. */
function checkDefault(ip: CniIp, table: number, own: readonly Route[], { call, config, result, link }: Scene): void {
  const { family } = ip.address.address;
  const isFixed = config.gateways.some((each) => each.family === family);
  const given = result.routes.find(
    ({ dst, gw }) => dst.prefix === 0 && dst.address.family === family && gw !== undefined,
  );
  const gateway = isFixed ? gatewayFor(ip, config) : (given?.gw ?? gatewayFor(ip, config));
  if (gateway === undefined) return;
  const defaults = own.filter(({ dst, family: its }) => dst.prefix === 0 && its === family);
  if (defaults.some((route) => route.gateway !== undefined && sameAddress(route.gateway, gateway))) return;
  throw checkFailed(
    `table ${table} in ${call.netns} lacks the default route via ${formatAddress(gateway)} by ${link.name}`,
  );
}
