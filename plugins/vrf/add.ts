/**
 * ADD: the VRF is made if it is not there, and the interface moves in with its addresses and routes. Whatever fails
 * takes back what was done.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { hasErrno, TsnetError } from "../../lib/errors.ts";
import { addrAdd, addrList } from "../../lib/netlink/addr.ts";
import { RT_TABLE_MAIN } from "../../lib/netlink/constants.ts";
import { vrf as vrfKind, vrfTableOf } from "../../lib/netlink/kinds.ts";
import { type Link, linkAdd, linkDel, linkGet, linkList, linkSet } from "../../lib/netlink/link.ts";
import { routeList, routePrepend } from "../../lib/netlink/route.ts";
import { ruleList } from "../../lib/netlink/rule.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { kernelLacks } from "../../lib/plugin/lacks.ts";
import { requireLink } from "../../lib/plugin/link.ts";
import { lockNamespace } from "../../lib/plugin/lock.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { Undo } from "../../lib/undo.ts";
import { parseConfig, type VrfConfig } from "./config.ts";
import { type Belongings, freeTable, missingAddresses, routesTo } from "./plan.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  const result = call.conf.prevResult;
  if (result === undefined)
    throw new TsnetError("missing prevResult from earlier plugin", { code: "decoding", op: "vrf" });
  const netns = openNetns(call.netns);
  try {
    await lockNamespace(netns);
    using container = RtSocket.open(netns);
    await attach(container, call, config);
  } finally {
    netns.close();
  }
  return result;
}

async function attach(container: RtSocket, call: PluginCall, config: VrfConfig): Promise<void> {
  const undo = new Undo();
  try {
    const link = freeInterface(container, call);
    const vrf = ensureVrf(container, config, undo);
    moveInto(container, link, vrf, undo);
  } catch (error) {
    throw await undo.unwind(error);
  }
}

/** The interface, which must be nobody's port. Looked at before anything is made. */
function freeInterface(container: RtSocket, { ifname, netns }: PluginCall): Link {
  const link = linkGet(container, ifname);
  if (link === undefined) {
    throw new TsnetError(`could not get link by name ${ifname}: ${netns} has none`, {
      code: "not-found",
      op: "vrf",
      errno: "ENODEV",
    });
  }
  if (link.master === undefined) return link;
  const master = linkGet(container, link.master)?.name ?? `link ${link.master}`;
  throw new TsnetError(`interface ${ifname} has already a master set: ${master}`, { code: "conflict", op: "vrf" });
}

function ensureVrf(container: RtSocket, config: VrfConfig, undo: Undo): Link {
  const { vrfName } = config;
  const found = linkGet(container, vrfName) ?? createVrf(container, config, undo);
  const table = vrfTableOf(found);
  if (table === undefined) {
    throw new TsnetError(
      `${vrfName} exists but is not a VRF (it is ${found.kind ?? "hardware"}): choose another vrfname`,
      { code: "conflict", op: "vrf" },
    );
  }
  if (config.table !== undefined && config.table !== table) {
    throw new TsnetError(`VRF ${vrfName} already exist with different routing table ${table}, wanted ${config.table}`, {
      code: "conflict",
      op: "vrf",
    });
  }
  if (!found.up) linkSet(container, found.index, { up: true });
  return found;
}

function createVrf(container: RtSocket, { vrfName, table }: VrfConfig, undo: Undo): Link {
  const chosen = table ?? freeTable(linkList(container), ruleList(container), routeList(container));
  try {
    linkAdd(container, { name: vrfName, kind: vrfKind(chosen) });
  } catch (error) {
    throw hasErrno(error, "EOPNOTSUPP") ? kernelLacks("vrf", error) : error;
  }
  undo.add("the VRF", () => void linkDel(container, vrfName));
  return requireLink(container, vrfName);
}

function moveInto(container: RtSocket, link: Link, vrf: Link, undo: Undo): void {
  const before = belongingsOf(container, link);
  undo.add("the move into the VRF", () => {
    linkSet(container, link.index, { master: 0 });
    restore(container, link, before, RT_TABLE_MAIN);
  });
  linkSet(container, link.index, { master: vrf.index });
  restore(container, link, before, vrfTableOf(vrf) ?? 0);
}

function belongingsOf(container: RtSocket, { index }: Link): Belongings {
  return { addresses: addrList(container, { index }), routes: routeList(container) };
}

function restore(container: RtSocket, { index }: Link, before: Belongings, table: number): void {
  const after = addrList(container, { index });
  // They were nobody else's before.
  for (const { cidr } of missingAddresses(before.addresses, after)) addrAdd(container, { index, cidr, noDad: true });
  for (const route of routesTo(table, before.routes, { index })) routePrepend(container, route);
}
