/**
 * What all rules of one family have in common: settings, facts of the node and what this kernel can, worked out once.
 *
 * @module
 */
import { parseAddress } from "../../lib/net/address.ts";
import { contains, parseCidr } from "../../lib/net/cidr.ts";
import type { BackendSettings } from "../backend.ts";
import type { NodeFacts, Table } from "../table/types.ts";
import { MARK_MASQ, NOT_LOCAL } from "./names.ts";
import { fromSource, isAll, isFamily } from "./rule.ts";

/** What the kernel and the programs of this host have. */
export interface Capabilities {
  /** The match `bpf`: one rule sees that a packet goes back to where it came from. */
  readonly bpf: boolean;
  /** Sets, the match and the target for them. */
  readonly ipset: boolean;
}

export interface Shape extends Capabilities {
  readonly family: 4 | 6;
  readonly settings: BackendSettings;
  /** The bit that stands for masquerading, `0x4000`. */
  readonly mark: string;
  /** How pods of this node are told: any of these, each `-s CIDR` or `-i INTERFACE`; none: they cannot be told. */
  readonly local: readonly string[];
  /** How what is not from such a pod gets its mark; undefined if that is nothing. */
  readonly masquerade: { readonly source: string; readonly link: string; readonly target: string } | undefined;
  /** CIDRs whose addresses get that mark by a rule in common, not by one of their own. */
  readonly commonCIDRs: readonly string[];
  /** Whether an address, if it is one, lies in one of these. */
  readonly isCommon: (address: string) => boolean;
  /** The node's own addresses of this family. */
  readonly nodeAddresses: readonly string[];
}

export function shapeOf(settings: BackendSettings, table: Table, capabilities: Capabilities): Shape {
  const { family, masqueradeBit } = settings;
  const { node, serviceCIDRs } = table;
  const local = localOf(settings, node);
  const commonCIDRs = serviceCIDRs.filter((cidr) => isFamily(family, cidr));
  const networks = commonCIDRs.map(parseCidr);
  return {
    bpf: capabilities.bpf,
    ipset: capabilities.ipset,
    family,
    settings,
    mark: `0x${(2 ** masqueradeBit).toString(16)}`,
    local,
    masquerade: masqueradeOf(settings, local),
    commonCIDRs,
    isCommon(text) {
      if (text === "" || networks.length === 0) return false;
      const address = parseAddress(text);
      return networks.some((network) => contains(network, address));
    },
    nodeAddresses: node.addresses.filter((address) => isFamily(family, address)),
  };
}

/** Whether two shapes make the same rules of the same services. */
export function sameShape(a: Shape, b: Shape): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function localOf({ family, localInterface }: BackendSettings, { podCIDRs }: NodeFacts): readonly string[] {
  const cidrs = podCIDRs.filter((cidr) => isFamily(family, cidr));
  if (cidrs.some(isAll)) return [""];
  if (cidrs.length > 0) return cidrs.map(fromSource);
  if (localInterface.kind === "bridge") return [`-i ${localInterface.name}`];
  if (localInterface.kind === "prefix") return [`-i ${localInterface.prefix}+`];
  return [];
}

function masqueradeOf({ masqueradeAll }: BackendSettings, local: readonly string[]): Shape["masquerade"] {
  if (masqueradeAll) return { source: "", link: "", target: MARK_MASQ };
  const [only = ""] = local;
  if (only === "") return undefined;
  if (local.length > 1) return { source: "", link: "", target: NOT_LOCAL };
  const negated = `! ${only}`;
  return only.startsWith("-s")
    ? { source: negated, link: "", target: MARK_MASQ }
    : { source: "", link: negated, target: MARK_MASQ };
}
