/**
 * VLANs of a bridge port, and the gateway of a VLAN: a veth pair of which one end is a port of that VLAN and the
 * other, `<bridge>.<vlan>`, carries the gateway's address.
 *
 * @module
 */
import { hasErrno, TsnetError } from "../../lib/errors.ts";
import { veth } from "../../lib/netlink/kinds.ts";
import { type Link, linkAdd, linkGet, linkSet } from "../../lib/netlink/link.ts";
import { portVlanAdd, portVlanDel } from "../../lib/netlink/port.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import type { BridgeConfig } from "./config.ts";

const DEFAULT_VLAN = 1;

/**
 * Puts the port into its VLANs. A trunk without `vlan` has VLAN 1 as its native one; the default VLAN that the
 * kernel gives every port goes unless preserveDefaultVlan.
 *
 * @throws TsnetError `kernel-lacks`.
 */
export function setPortVlans(host: RtSocket, port: Link, config: BridgeConfig): void {
  try {
    const native = config.vlan ?? DEFAULT_VLAN;
    if (!config.preserveDefaultVlan && native !== DEFAULT_VLAN)
      portVlanDel(host, port.index, { first: DEFAULT_VLAN, last: DEFAULT_VLAN });
    for (const range of config.vlanTrunk) portVlanAdd(host, port.index, range);
    portVlanAdd(host, port.index, { first: native, last: native, pvid: true, untagged: true });
  } catch (error) {
    throw explain(error, port.name);
  }
}

/** Makes the gateway's end if it is not there and returns it. */
export function ensureVlanGateway(host: RtSocket, bridge: Link, vlan: number): Link {
  const name = `${bridge.name}.${vlan}`;
  const found = linkGet(host, name);
  if (found !== undefined) return found;
  if (Buffer.byteLength(name) > 15) {
    throw new TsnetError(
      `the gateway of VLAN ${vlan} would be called ${name}, longer than 15 bytes: choose a shorter bridge name`,
      {
        code: "invalid",
        op: "bridge VLAN gateway",
      },
    );
  }
  const portName = `${name.slice(0, 12)}.gw`;
  try {
    linkAdd(host, { name, kind: veth({ name: portName }) });
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
  }
  linkSet(host, portName, { master: bridge.index, up: true });
  const port = linkGet(host, portName);
  if (port !== undefined) portVlanAdd(host, port.index, { first: vlan, last: vlan, pvid: true, untagged: true });
  linkSet(host, name, { up: true });
  const made = linkGet(host, name);
  if (made === undefined)
    throw new TsnetError(`${name} vanished while it was made`, { code: "io", op: "bridge VLAN gateway" });
  return made;
}

function explain(error: unknown, port: string): unknown {
  if (!hasErrno(error, "EOPNOTSUPP", "ENOTSUPP", "EINVAL")) return error;
  return new TsnetError(
    `${port}: this kernel has no bridge VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING), which vlan and vlanTrunk need`,
    {
      code: "kernel-lacks",
      op: "bridge VLAN",
      cause: error,
    },
  );
}
