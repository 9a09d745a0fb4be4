/**
 * Chains that many services share, one for each number of endpoints. A name says all about its chain, so that nobody
 * has to remember what is in it:
 *
 *     pick-4                 one of 4 endpoints, at random
 *     pick-local-2           one of 2 on this node
 *     external-4             the same for who comes from outside: masqueraded
 *     external-local-4-2     policy Local: who is on this node gets one of all 4, others one of the 2 on this node
 *     nodeport-...           each of them for node ports
 *
 * Each that picks ends in `drop`: a packet whose index went away while it was on its way must not leave with the
 * service's address.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { dnatByMap, setMark, to, verdict } from "../../lib/nft/actions.ts";
import { address, dport, random } from "../../lib/nft/expressions.ts";
import { isLocal, protocolIs } from "../../lib/nft/matches.ts";
import type { BuiltRule, NftStatement } from "../../lib/nft/rule.ts";
import { LOCAL_INDEX, PROTOCOLS, type ProxySets } from "./sets.ts";

/** What the rules of chains depend on beside their names. */
export interface ChainContext {
  readonly family: Family;
  readonly sets: ProxySets;
  /** Ways to tell a pod of this node by a packet of its; none if there is no way. */
  readonly fromPods: readonly NftStatement[];
  /** Of the packet's mark: masquerade. */
  readonly masqueradeMark: number;
}

/** `nodeport-` before the names of chains for node ports. */
export function nodeportPrefix(isNodePort: boolean): string {
  return isNodePort ? "nodeport-" : "";
}

export function pickChain(count: number, { local = false, nodePort = false } = {}): string {
  return `${nodeportPrefix(nodePort)}pick-${local ? "local-" : ""}${count}`;
}

/** For who comes from outside; with `local`, how many endpoints are on this node: policy Local. */
export function externalChain(
  count: number,
  { local, nodePort = false }: { local?: number; nodePort?: boolean },
): string {
  return `${nodeportPrefix(nodePort)}external-${local === undefined ? count : `local-${count}-${local}`}`;
}

/** The chains that a shared chain leads to, and that have to be there before it. */
export function chainsBehind(chain: string): readonly string[] {
  if (chain.startsWith("pick-")) return [];
  const { kind, nodePort, count, local } = parse(chain);
  if (kind === "external") return [pickChain(count, { nodePort })];
  if (kind !== "external-local") return [];
  return [
    ...(count > 0 ? [pickChain(count, { nodePort })] : []),
    ...(local > 0 ? [pickChain(local, { local: true, nodePort })] : []),
  ];
}

/** The rules of a shared chain. */
export function sharedRules(chain: string, context: ChainContext): readonly BuiltRule[] {
  const { kind, nodePort, count, local } = parse(chain);
  const all = count > 0 ? to("goto", pickChain(count, { nodePort })) : DROP;
  switch (kind) {
    case "pick":
      return pickRules(context, { nodePort, count, offset: 0 });
    case "pick-local":
      return pickRules(context, { nodePort, count, offset: LOCAL_INDEX });
    case "external":
      return [{ statements: [setMark(context.masqueradeMark)] }, { statements: [all] }];
    case "external-local":
      return externalLocalRules(
        context,
        all,
        local > 0 ? to("goto", pickChain(local, { local: true, nodePort })) : DROP,
      );
  }
}

/**
 * Policy Local: pods of this node and the node itself stand for clients that the outside would send to any endpoint;
 * the node's own packets would be answered past it.
 */
export function externalLocalRules(
  { fromPods, masqueradeMark }: ChainContext,
  all: NftStatement,
  local: NftStatement,
): readonly BuiltRule[] {
  return [
    ...fromPods.map((match) => ({ statements: [match, all], comment: "a pod of this node" })),
    { statements: [isLocal("saddr"), setMark(masqueradeMark)], comment: "the node itself" },
    { statements: [isLocal("saddr"), all] },
    { statements: [local] },
  ];
}

const DROP = verdict("drop");

type Kind = "pick" | "pick-local" | "external" | "external-local";

interface Parsed {
  readonly kind: Kind;
  readonly nodePort: boolean;
  readonly count: number;
  readonly local: number;
}

function parse(chain: string): Parsed {
  const [, prefix, kind, count, local] =
    /^(nodeport-)?(pick|pick-local|external|external-local)-(\d+)(?:-(\d+))?$/.exec(chain) ?? [];
  if (kind !== "pick" && kind !== "pick-local" && kind !== "external" && kind !== "external-local") {
    throw new Error(`not a chain that services share: ${chain}`);
  }
  return { kind, nodePort: prefix !== undefined, count: Number(count), local: Number(local ?? 0) };
}

/** A map and a rule each protocol: a port that is declared for any cannot be used by a rule that comes later. */
function pickRules(
  { family, sets }: ChainContext,
  { nodePort, count, offset }: { readonly nodePort: boolean; readonly count: number; readonly offset: number },
): readonly BuiltRule[] {
  const index = random(count, offset);
  const rules = PROTOCOLS.map((protocol): BuiltRule => {
    const port = dport(protocol);
    const key = nodePort ? [port, index] : [address(family, "daddr"), port, index];
    const map = (nodePort ? sets.nodeportEndpoints : sets.endpoints)[protocol].name;
    return { statements: [protocolIs(protocol), dnatByMap(family, key, map)] };
  });
  return [...rules, { statements: [DROP] }];
}
