/**
 * The chains that are always there: where packets come in, what they meet in which order, and what depends on options
 * and on the node. kube-proxy's hooks and priorities are kept, since others put their own rules before or behind them.
 *
 * @module
 */
import { contains, overlaps, parseCidr } from "../../lib/net/cidr.ts";
import { flipMark, masquerade, reject, setMark, to, verdict, vmap } from "../../lib/nft/actions.ts";
import { address, dport, l4proto, originalAddress, originalPort } from "../../lib/nft/expressions.ts";
import { addressIn, ctState, hasMark, inSet, interfaceIs, isDnat, isLocal, protocolIs } from "../../lib/nft/matches.ts";
import type { BuiltRule, NftStatement } from "../../lib/nft/rule.ts";
import type { NftHook } from "../../lib/nft/specs.ts";
import type { BackendSettings } from "../backend.ts";
import type { NodeFacts, Table } from "../table/types.ts";
import type { ChainContext } from "./chains.ts";
import { cidrsOf } from "./cidrs.ts";
import { PROTOCOLS, proxySets } from "./sets.ts";

export interface BaseChain {
  readonly chain: string;
  readonly hook?: NftHook;
  readonly rules: readonly BuiltRule[];
}

/** Where a service without endpoints leads. */
export const REFUSE = "refuse";

// As kube-proxy has them: -110 is before DNAT, where an address is still the service's.
const FILTER = 0;
// Of hooks of one priority the newest is run first: whichever proxy has come to the node decides, not what another left.
const DNAT = -100;
const BEFORE_DNAT = -110;
const SNAT = 100;
const BEFORE_SNAT = 90;
const LOOPBACK = { 4: "127.0.0.0/8", 6: "::1/128" } as const;

/** What chains of services depend on. */
export function chainContext(settings: BackendSettings, node: NodeFacts): ChainContext {
  const { family, localInterface, masqueradeBit } = settings;
  const byAddress = cidrsOf(family, node.podCIDRs).map((cidr) => addressIn("saddr", cidr));
  const byInterface =
    localInterface.kind === "bridge"
      ? [interfaceIs(localInterface.name)]
      : localInterface.kind === "prefix"
        ? [interfaceIs(`${localInterface.prefix}*`)]
        : [];
  return {
    family,
    sets: proxySets(family),
    fromPods: [...byAddress, ...byInterface],
    masqueradeMark: (1 << masqueradeBit) >>> 0,
  };
}

/** The chains, those without a hook first where others lead to them. */
export function baseChains(settings: BackendSettings, table: Table, context: ChainContext): readonly BaseChain[] {
  return [
    ...dispatchChains(settings, table.node, context),
    ...admitChains(context),
    ...refuseChains(settings, table, context),
    ...learnChains(context),
    ...masqueradeChains(context),
  ];
}

function dispatchChains(settings: BackendSettings, node: NodeFacts, context: ChainContext): readonly BaseChain[] {
  const { family, sets, fromPods, masqueradeMark } = context;
  const mark: BuiltRule = { statements: [setMark(masqueradeMark)] };
  const daddr = address(family, "daddr");
  const toClusterIP = inSet([daddr], sets.clusterIPs.name);
  const foreign: readonly BuiltRule[] = settings.masqueradeAll
    ? [mark]
    : fromPods.length === 0
      ? []
      : [...fromPods.map((match) => ({ statements: [match, verdict("return")] })), mark];
  return [
    ...(foreign.length === 0 ? [] : [{ chain: "masquerade-foreign", rules: foreign }]),
    {
      chain: "dispatch",
      rules: [
        ...(foreign.length === 0 ? [] : [{ statements: [toClusterIP, to("jump", "masquerade-foreign")] }]),
        { statements: [vmap([daddr, l4proto, dport("th")], sets.services.name)] },
        ...nodePortMatches(settings, node).map((match) => ({
          statements: [...match, vmap([l4proto, dport("th")], sets.nodeports.name)],
        })),
      ],
    },
    base("nat-prerouting", "nat", "prerouting", DNAT, [{ statements: [to("jump", "dispatch")] }]),
    base("nat-output", "nat", "output", DNAT, [{ statements: [to("jump", "dispatch")] }]),
  ];
}

/** Ways in which an address takes node ports. Loopback never does: its packets cannot leave, nor come back, by DNAT. */
function nodePortMatches(settings: BackendSettings, node: NodeFacts): readonly (readonly NftStatement[])[] {
  const { family, nodePortAddresses } = settings;
  const loopback = parseCidr(LOOPBACK[family]);
  const notLoopback = addressIn("daddr", loopback, { not: true });
  if (nodePortAddresses === "primary") {
    const own = node.addresses.map((text) => `${text}/${text.includes(":") ? 128 : 32}`);
    return cidrsOf(family, own)
      .filter((cidr) => !contains(loopback, cidr.address))
      .map((cidr) => [addressIn("daddr", cidr)]);
  }
  const given = nodePortAddresses === "all" ? [] : cidrsOf(family, nodePortAddresses);
  // As kube-proxy: CIDRs of the other family alone mean all addresses of this one.
  if (given.length === 0) return [[isLocal("daddr"), notLoopback]];
  return given
    .filter((cidr) => !(contains(loopback, cidr.address) && cidr.prefix >= loopback.prefix))
    .map((cidr) => {
      const match = cidr.prefix === 0 ? [] : [addressIn("daddr", cidr)];
      return [isLocal("daddr"), ...match, ...(overlaps(cidr, loopback) ? [notLoopback] : [])];
    });
}

function admitChains({ family, sets }: ChainContext): readonly BaseChain[] {
  const frontend = [address(family, "daddr"), l4proto, dport("th")];
  const isRanged = inSet(frontend, sets.ranged.name);
  const isOutside = inSet([...frontend, address(family, "saddr")], sets.ranges.name, { not: true });
  const admit: BuiltRule = { statements: [ctState("new"), to("jump", "admit")] };
  return [
    {
      chain: "admit",
      rules: [{ statements: [isRanged, isOutside, verdict("drop")], comment: "not in the source ranges" }],
    },
    base("admit-prerouting", "filter", "prerouting", BEFORE_DNAT, [admit]),
    base("admit-output", "filter", "output", BEFORE_DNAT, [admit]),
  ];
}

/** Kernels before 5.9 know `reject` in these three hooks only. */
function refuseChains(settings: BackendSettings, table: Table, { family, sets }: ChainContext): readonly BaseChain[] {
  const daddr = address(family, "daddr");
  const check = (chain: string): BuiltRule => ({ statements: [ctState("new"), to("jump", chain)] });
  const services = check("check-services");
  const addresses = check("check-addresses");
  const invalid = { statements: [ctState("invalid"), verdict("drop")] };
  return [
    { chain: REFUSE, rules: [{ statements: [reject(family)] }] },
    { chain: "check-services", rules: [{ statements: [vmap([daddr, l4proto, dport("th")], sets.unserved.name)] }] },
    {
      chain: "check-nodeports",
      rules: nodePortMatches(settings, table.node).map((match) => ({
        statements: [...match, vmap([l4proto, dport("th")], sets.unservedNodeports.name)],
      })),
    },
    {
      chain: "check-addresses",
      rules: [
        { statements: [inSet([daddr], sets.clusterIPs.name), reject(family)], comment: "a port that no service has" },
        {
          statements: [
            inSet([daddr, l4proto, dport("th")], sets.externals.name),
            isDnat({ not: true }),
            verdict("drop"),
          ],
          comment: "on its way when a service changed",
        },
        ...cidrsOf(family, table.serviceCIDRs).map((cidr) => ({
          statements: [addressIn("daddr", cidr), verdict("drop")],
          comment: "an address that no service has",
        })),
      ],
    },
    base("filter-input", "filter", "input", FILTER, [check("check-nodeports"), services]),
    base("filter-forward", "filter", "forward", FILTER, [
      ...(settings.dropInvalid ? [invalid] : []),
      services,
      addresses,
    ]),
    base("filter-output", "filter", "output", FILTER, [services, addresses]),
  ];
}

/** A nat chain is run once a connection: a filter chain would learn again from every SYN that is sent anew. */
function learnChains({ family, sets }: ChainContext): readonly BaseChain[] {
  const rules = PROTOCOLS.flatMap((protocol): readonly BuiltRule[] => [
    {
      statements: [protocolIs(protocol), vmap([originalAddress(family), l4proto, originalPort], sets.learners.name)],
    },
    { statements: [protocolIs(protocol), vmap([l4proto, originalPort], sets.nodeportLearners.name)] },
  ]);
  const learn: BuiltRule = { statements: [isDnat(), to("jump", "learn")] };
  return [
    { chain: "learn", rules },
    base("nat-postrouting-learn", "nat", "postrouting", BEFORE_SNAT, [learn]),
    // An endpoint in the node's own network.
    base("nat-input-learn", "nat", "input", BEFORE_SNAT, [learn]),
  ];
}

function masqueradeChains({ family, sets, masqueradeMark }: ChainContext): readonly BaseChain[] {
  const pair = [address(family, "saddr"), address(family, "daddr"), l4proto, dport("th")];
  return [
    base("nat-postrouting", "nat", "postrouting", SNAT, [
      { statements: [hasMark(masqueradeMark), flipMark(masqueradeMark), masquerade] },
      {
        statements: [isDnat(), inSet(pair, sets.hairpin.name), masquerade],
        comment: "an endpoint that asks itself",
      },
    ]),
  ];
}

function base(
  chain: string,
  type: NftHook["type"],
  hook: NftHook["hook"],
  priority: number,
  rules: readonly BuiltRule[],
): BaseChain {
  return { chain, hook: { type, hook, priority }, rules };
}
