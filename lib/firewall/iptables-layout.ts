/**
 * The fixed parts of our iptables rules: chains of our own, and how the built-in ones lead there.
 *
 * @module
 */
import type { Family } from "../net/address.ts";
import type { IptablesRule } from "./record.ts";
import type { Part } from "./types.ts";

type Table = IptablesRule["table"];

/** A rule in a built-in chain that leads to one of ours. */
export interface Jump {
  readonly table: Table;
  readonly from: string;
  readonly to: string;
  /** Which packets; empty: all. */
  readonly match: string;
  /** Before the rules of others rather than behind them. */
  readonly first: boolean;
}

export interface IptablesLayout {
  readonly chains: readonly { readonly table: Table; readonly chain: string }[];
  readonly jumps: readonly Jump[];
  /** What our chains begin with. */
  readonly rules: readonly { readonly table: Table; readonly chain: string; readonly rule: string }[];
}

/** What the host forwards: the administrator's chains first, then the walls, then one container after the other. */
export const CONTAINERS = "TSNET-CONTAINERS";
/** What comes from a bridge with walls. */
export const WALLS = "TSNET-WALLS";
/** What comes from such a bridge and goes out by another interface. */
export const WALLED = "TSNET-WALLED";

/** What a part needs in a family beside the rules of its containers. */
export function layoutOf(part: Part, family: Family): IptablesLayout {
  switch (part) {
    case "masquerade":
      return masquerade(family);
    case "publish":
      return publish(family);
    case "accept":
      return accept();
    case "forward":
      return forward();
  }
}

/** The part that one of our chains belongs to. */
export function partOfChain(chain: string): Part | undefined {
  switch (chain) {
    case "TSNET-MASQUERADE":
      return "masquerade";
    case "TSNET-DNAT":
    case "TSNET-HAIRPIN":
    case "TSNET-GUARD":
      return "publish";
    case "TSNET-FORWARD":
      return "accept";
    case CONTAINERS:
    case WALLS:
    case WALLED:
      return "forward";
    default:
      return undefined;
  }
}

/** All parts, for whoever looks through the kernel's rules. */
export const PARTS: readonly Part[] = ["masquerade", "publish", "accept", "forward"];

/** A jump as a rule. */
export function jumpRule({ match, to }: Jump): string {
  return `${match === "" ? "" : `${match} `}-j ${to}`;
}

function masquerade(family: Family): IptablesLayout {
  const chain = { table: "nat", chain: "TSNET-MASQUERADE" } as const;
  return {
    chains: [chain],
    jumps: [{ table: "nat", from: "POSTROUTING", to: chain.chain, match: "", first: false }],
    rules: [{ ...chain, rule: `-d ${family === 4 ? "224.0.0.0/4" : "ff00::/8"} -j RETURN` }],
  };
}

// TSNET-HAIRPIN stands before other people's masquerading, which would take the packet first and exempt the
// container's own subnet. [::1] is left out: the kernel does not route it, and redirected a connection would hang.
function publish(family: Family): IptablesLayout {
  const local = "-m addrtype --dst-type LOCAL";
  const dnat = { table: "nat", to: "TSNET-DNAT", first: false } as const;
  return {
    chains: [
      ...(family === 4 ? [{ table: "raw", chain: "TSNET-GUARD" } as const] : []),
      { table: "nat", chain: "TSNET-DNAT" },
      { table: "nat", chain: "TSNET-HAIRPIN" },
    ],
    jumps: [
      ...(family === 4 ? [GUARD] : []),
      { ...dnat, from: "PREROUTING", match: local },
      { ...dnat, from: "OUTPUT", match: family === 4 ? local : `! -d ::1/128 ${local}` },
      { table: "nat", from: "POSTROUTING", to: "TSNET-HAIRPIN", match: "", first: true },
    ],
    rules: family === 4 ? GUARD_RULES : [],
  };
}

// route_localnet lets packets for 127.0.0.0/8 in from outside (CVE-2020-8558): what does not come by lo ends here.
const GUARD: Jump = { table: "raw", from: "PREROUTING", to: "TSNET-GUARD", match: "", first: true };
const GUARD_RULES = [
  { table: "raw", chain: "TSNET-GUARD", rule: "-d 127.0.0.0/8 ! -i lo -j DROP" },
  { table: "raw", chain: "TSNET-GUARD", rule: "-s 127.0.0.0/8 ! -i lo -j DROP" },
] as const;

function accept(): IptablesLayout {
  return {
    chains: [{ table: "filter", chain: "TSNET-FORWARD" }],
    jumps: [{ table: "filter", from: "FORWARD", to: "TSNET-FORWARD", match: "", first: true }],
    rules: [],
  };
}

function forward(): IptablesLayout {
  const at = { table: "filter" } as const;
  return {
    chains: [
      { ...at, chain: CONTAINERS },
      { ...at, chain: WALLS },
      { ...at, chain: WALLED },
    ],
    jumps: [{ ...at, from: "FORWARD", to: CONTAINERS, match: "", first: true }],
    rules: [{ ...at, chain: CONTAINERS, rule: `-j ${WALLS}` }],
  };
}
