/**
 * The verbs of dummy.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { hasErrno, TsnetError } from "../../lib/errors.ts";
import { dummy } from "../../lib/netlink/kinds.ts";
import { type Link, linkAdd, linkDel, linkSet } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import {
  addInterface,
  aliasOf,
  checkInterface,
  delInterface,
  ipamTypeOf,
  removeInterface,
  type Scene,
  statusOfAddresses,
} from "../../lib/plugin/interface.ts";
import { kernelLacks, requireKind } from "../../lib/plugin/lacks.ts";
import { requireLink } from "../../lib/plugin/link.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  // Nobody else is on the link who could have the address.
  return addInterface(call, { ipamType: requiredIpam(call), enableDad: false, put });
}

export async function del(call: PluginCall): Promise<void> {
  await delInterface(call, { ipamType: ipamTypeOf(call), remove: () => removeInterface(call, dummy.kind) });
}

export async function check(call: PluginCall): Promise<void> {
  await checkInterface(call, { ipamType: requiredIpam(call), kind: dummy.kind });
}

export async function status(call: PluginCall): Promise<void> {
  requiredIpam(call);
  {
    using host = RtSocket.open();
    requireKind(host, dummy.kind);
  }
  await statusOfAddresses(call);
}

function put({ call, container, undo }: Scene): Link {
  try {
    linkAdd(container, { name: call.ifname, kind: dummy });
  } catch (error) {
    throw hasErrno(error, "EOPNOTSUPP") ? kernelLacks(dummy.kind, error) : error;
  }
  undo.add("the dummy", () => void linkDel(container, call.ifname));
  linkSet(container, call.ifname, { alias: aliasOf(call.attachment) });
  return requireLink(container, call.ifname);
}

/** An interface that leads nowhere is of use for its addresses alone. */
function requiredIpam(call: PluginCall): string {
  const type = ipamTypeOf(call);
  if (type === undefined)
    throw new TsnetError("dummy interface requires an IPAM configuration", { code: "invalid", op: "dummy config" });
  return type;
}
