/**
 * What the config and the result of the plugins before mean for the packet filter. Pure.
 *
 * @module
 */
import type { CniResult } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { ForwardWish } from "../../lib/firewall/types.ts";
import type { FirewallConfig } from "./config.ts";

/**
 * The wish, as the reference reads a result: all addresses are the container's, and the first interface is the bridge.
 *
 * @throws TsnetError `invalid` if walls are asked for and the result tells of no bridge, or of one whose name a packet
 *   filter would take for many.
 */
export function planForward(
  { adminChain, ingress, firewalldZone }: FirewallConfig,
  result: CniResult,
  isFirewalld: boolean,
): ForwardWish {
  const links = linksOf(result, ingress);
  const strange = links.find((link) => !/^[\w.-]{1,15}$/.test(link));
  if (strange !== undefined && ingress !== "open") {
    throw new TsnetError(
      `no walls can be built around ${JSON.stringify(strange)}, the first interface of the result: a bridge's name has at most 15 letters, digits, "_", "." and "-" for that`,
      { code: "invalid", op: "firewall" },
    );
  }
  return {
    addresses: result.ips.map(({ address }) => address),
    links: strange === undefined ? links : [],
    ingress,
    adminChain,
    ...(isFirewalld ? { firewalldZone } : {}),
  };
}

/** The bridge, and the interface by which the host is on a VLAN of it, named after it. */
function linksOf({ interfaces }: CniResult, ingress: ForwardWish["ingress"]): readonly string[] {
  const hosts = interfaces.filter(({ sandbox }) => (sandbox ?? "") === "");
  const [first] = interfaces;
  if (first !== undefined && first.name !== "" && (first.sandbox ?? "") === "") {
    const { name } = first;
    return hosts.map((link) => link.name).filter((link) => link === name || link.startsWith(`${name}.`));
  }
  if (ingress === "open") return [];
  const found = first === undefined ? "there is none" : `it is ${first.name} inside the container`;
  throw new TsnetError(
    `the first interface of the result needs to be the bridge for ingress policy ${JSON.stringify(ingress)}, and ${found}: chain "firewall" behind "bridge"`,
    { code: "invalid", op: "firewall" },
  );
}
