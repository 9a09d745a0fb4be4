/**
 * The bridge itself: the device, and the gateways' addresses on it.
 *
 * @module
 */
import { hasErrno, TsnetError } from "../../lib/errors.ts";
import { type Cidr, formatCidr, networkOf, overlaps, sameCidr } from "../../lib/net/cidr.ts";
import { formatMac } from "../../lib/net/mac.ts";
import { addrAdd, addrDel, addrList } from "../../lib/netlink/addr.ts";
import { bridge as bridgeKind } from "../../lib/netlink/kinds.ts";
import { type Link, linkAdd, linkGet, linkSet } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { doWithout } from "../../lib/plugin/container.ts";
import { ensureLooseReversePath } from "../../lib/plugin/forwarding.ts";
import { requireLink } from "../../lib/plugin/link.ts";
import { writeSysctls } from "../../lib/sys/files.ts";
import type { BridgeConfig } from "./config.ts";

/**
 * Makes the bridge if it is not there, sets what the config asks of it, and returns it. Its MAC is given, not
 * left to the kernel, which would change it as ports come and go.
 *
 * @throws TsnetError `conflict` if the name belongs to another kind of link.
 */
export function ensureBridge(host: RtSocket, config: BridgeConfig): Link {
  const found = linkGet(host, config.bridge) ?? createBridge(host, config);
  if (found.kind !== "bridge") {
    throw new TsnetError(
      `${config.bridge} exists but is not a bridge (it is ${found.kind ?? "hardware"}): choose another name`,
      {
        code: "conflict",
        op: "bridge",
      },
    );
  }
  const changes = {
    ...(found.up ? {} : { up: true }),
    ...(config.promisc && !found.promisc ? { promisc: true } : {}),
  };
  if (Object.keys(changes).length > 0) linkSet(host, found.index, changes);
  return found;
}

/**
 * Gives the bridge the gateways' addresses. Those of another network are an error unless forceAddress.
 *
 * @throws TsnetError `conflict`.
 */
export function ensureGateways(host: RtSocket, bridge: Link, config: BridgeConfig, gateways: readonly Cidr[]): void {
  for (const gateway of gateways) {
    if (gateway.address.family === 6) writeSysctls(undefined, [[`net/ipv6/conf/${bridge.name}/disable_ipv6`, "0"]]);
    // Nearly always it is there: one question answers all.
    if (!addrAdd(host, { index: bridge.index, cidr: gateway, noDad: !config.enableDad })) continue;
    try {
      clearOthers(host, bridge, config, gateway);
    } catch (error) {
      addrDel(host, bridge.index, gateway);
      throw error;
    }
    if (gateway.address.family === 4) ensureLooseReversePath(bridge.name);
  }
}

function createBridge(host: RtSocket, config: BridgeConfig): Link {
  const vlan = config.vlan !== undefined || config.vlanTrunk.length > 0;
  const kind = bridgeKind(vlan ? { vlanFiltering: true } : {});
  try {
    linkAdd(host, {
      name: config.bridge,
      kind,
      mac: randomMac(),
      ...(config.mtu === undefined ? {} : { mtu: config.mtu }),
    });
  } catch (error) {
    // Another call made it meanwhile.
    if (!hasErrno(error, "EEXIST")) throw vlan ? lacksVlan(error, config.bridge) : error;
  }
  const ipv6 = `net/ipv6/conf/${config.bridge}`;
  // While the bridge's own link-local address is being probed for duplicates, the host cannot ask for a container's.
  const sysctls = [
    [`${ipv6}/accept_ra`, "0"],
    [`${ipv6}/accept_dad`, config.enableDad ? "1" : "0"],
  ] as const;
  writeSysctls(undefined, sysctls, doWithout);
  return requireLink(host, config.bridge);
}

function lacksVlan(error: unknown, bridge: string): unknown {
  if (!hasErrno(error, "EOPNOTSUPP", "ENOTSUPP", "EINVAL")) return error;
  return new TsnetError(
    `bridge ${bridge}: this kernel has no bridge VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING), which vlan and vlanTrunk need`,
    {
      code: "kernel-lacks",
      op: "add bridge",
      cause: error,
    },
  );
}

/** Sees to it that the bridge has no other network's address beside `gateway`. */
function clearOthers(host: RtSocket, bridge: Link, config: BridgeConfig, gateway: Cidr): void {
  for (const other of addrList(host, { index: bridge.index }).filter((addr) => contradicts(addr.cidr, gateway))) {
    if (!config.forceAddress) {
      throw new TsnetError(
        `bridge ${bridge.name} already has an IP address different from ${formatCidr(gateway)}: it has ${formatCidr(other.cidr)}; ` +
          "delete that, or set forceAddress",
        { code: "conflict", op: "bridge address" },
      );
    }
    addrDel(host, bridge.index, other.cidr);
  }
}

/** Whether an address keeps the gateway's away: any other of IPv4, of IPv6 those of an overlapping network. */
function contradicts(other: Cidr, gateway: Cidr): boolean {
  if (other.address.family !== gateway.address.family || sameCidr(other, gateway)) return false;
  return gateway.address.family === 4 || overlaps(networkOf(other), networkOf(gateway));
}

/** A locally administered unicast address (IEEE 802, bit 1 set and bit 0 clear of the first octet). */
function randomMac(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return formatMac(bytes);
}
