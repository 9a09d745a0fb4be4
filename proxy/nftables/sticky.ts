/**
 * What a service port with affinity has of its own: a map from clients to endpoints for all its addresses, chains that
 * look there before they pick, and a chain that learns.
 *
 *     sticky/NS/NAME/PROTOCOL/PORT           over all endpoints, then pick-N
 *     local-sticky/...                       over those on this node, then pick-local-N
 *     external/...                           for who comes from outside, as external-N and external-local-N-M do
 *     nodeport-...                           each of them for node ports
 *     learn/...                              behind `learn`
 *     members/..., local-members/...         the endpoints that may be learned
 *     affinity/.../TARGETPORT, local-...     the maps
 *
 * The endpoints of both policies are learned apart: a client that some address sent to another node must not take the
 * policy Local of a second address there. A client whose endpoint is on this node is known to both, as in kube-proxy.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { dnatToPort, setMark, to, update, verdict } from "../../lib/nft/actions.ts";
import { address, dport } from "../../lib/nft/expressions.ts";
import { dportIs, inSet, protocolIs } from "../../lib/nft/matches.ts";
import { type BuiltRule, type NftStatement, ruleText } from "../../lib/nft/rule.ts";
import type { Endpoint, PortRules } from "../table/types.ts";
import { type ChainContext, externalLocalRules, nodeportPrefix, pickChain } from "./chains.ts";
import { affinityMap, LOCAL_INDEX, membersSet, type ProxySet } from "./sets.ts";

/** All that one service port with affinity has. */
export interface Sticky {
  /** Filled as any set. */
  readonly members: readonly ProxySet[];
  /** Filled by the rules that learn. */
  readonly affinity: readonly AffinityMap[];
  readonly chains: readonly StickyChain[];
}

export interface AffinityMap {
  readonly map: ProxySet;
  /** Addresses that may stand in it. */
  readonly endpoints: ReadonlySet<string>;
}

export interface StickyChain {
  readonly chain: string;
  readonly rules: readonly BuiltRule[];
  /** Tells whether two are the same. */
  readonly text: string;
}

/** One of the two sets of endpoints that a service port may have. */
export type Scope = "" | "local-";

/** Whether a service port has chains of its own. One without endpoints has none: an empty chain is hard to find again. */
export function isSticky(rules: PortRules): boolean {
  return rules.affinitySeconds !== undefined && scopesOf(rules).some((scope) => endpointsOf(rules, scope).length > 0);
}

export function stickyChain(rules: PortRules, scope: Scope, nodePort: boolean): string {
  return `${nodeportPrefix(nodePort)}${scope}sticky/${pathOf(rules)}`;
}

export function stickyExternalChain(rules: PortRules, nodePort: boolean): string {
  return `${nodeportPrefix(nodePort)}external/${pathOf(rules)}`;
}

export function learnChain(rules: PortRules): string {
  return `learn/${pathOf(rules)}`;
}

/** The set of the endpoints that may be learned, of those scopes that {@link scopesOf} has. */
export function membersOf(family: Family, rules: PortRules, scope: Scope): ProxySet {
  return membersSet(family, `${scope}members/${pathOf(rules)}`, rules.protocol);
}

/** The sets of endpoints that frontends of a service port lead to. */
export function scopesOf({ frontends }: PortRules): readonly Scope[] {
  const usesAll = frontends.some(({ kind, policy }) => kind !== "clusterIP" || policy === "Cluster");
  const usesLocal = frontends.some(({ policy }) => policy === "Local");
  return [...(usesAll ? ["" as const] : []), ...(usesLocal ? ["local-" as const] : [])];
}

export function endpointsOf(rules: PortRules, scope: Scope): readonly Endpoint[] {
  const endpoints = scope === "" ? rules.endpoints : rules.local;
  return endpoints.length > LOCAL_INDEX ? endpoints.slice(0, LOCAL_INDEX) : endpoints;
}

/** What the service port has; undefined if it has none. */
export function stickyOf(rules: PortRules, context: ChainContext): Sticky | undefined {
  const { affinitySeconds } = rules;
  if (affinitySeconds === undefined || !isSticky(rules)) return undefined;
  const scopes = scopesOf(rules);
  return {
    members: scopes.map((scope) => membersOf(context.family, rules, scope)),
    affinity: scopes.flatMap((scope) => affinityOf(context.family, rules, scope)),
    chains: [
      ...scopes.flatMap((scope) => stickyChains(rules, scope, context)),
      ...externalChains(rules, context),
      chainOf(learnChain(rules), learnRules(rules, affinitySeconds, context)),
    ],
  };
}

/** `ns/web/tcp/http`: neither namespaces nor names have slashes. */
function pathOf({ name, protocol }: PortRules): string {
  const [service = "", port] = name.split(":");
  return port === undefined ? `${service}/${protocol}` : `${service}/${protocol}/${port}`;
}

function affinityName(rules: PortRules, scope: Scope, port: number): string {
  return `${scope}affinity/${pathOf(rules)}/${port}`;
}

function targetPorts(rules: PortRules, scope: Scope): readonly number[] {
  return [...new Set(endpointsOf(rules, scope).map(({ port }) => port))].sort((a, b) => a - b);
}

function affinityOf(family: Family, rules: PortRules, scope: Scope): readonly AffinityMap[] {
  return targetPorts(rules, scope).map((port) => ({
    map: affinityMap(family, affinityName(rules, scope, port)),
    endpoints: new Set(
      endpointsOf(rules, scope)
        .filter((endpoint) => endpoint.port === port)
        .map((endpoint) => endpoint.address),
    ),
  }));
}

function stickyChains(rules: PortRules, scope: Scope, { family }: ChainContext): readonly StickyChain[] {
  const count = endpointsOf(rules, scope).length;
  const saddr = address(family, "saddr");
  const known = targetPorts(rules, scope).map((port) => ({
    statements: [protocolIs(rules.protocol), dnatToPort(family, [saddr], affinityName(rules, scope, port), port)],
  }));
  return sidesOf(rules).map((nodePort) => {
    const last = count > 0 ? to("goto", pickChain(count, { local: scope !== "", nodePort })) : verdict("drop");
    return chainOf(stickyChain(rules, scope, nodePort), [...known, { statements: [last] }]);
  });
}

function externalChains(rules: PortRules, context: ChainContext): readonly StickyChain[] {
  const policy = rules.frontends.find(({ kind }) => kind !== "clusterIP")?.policy;
  const hasAddress = rules.frontends.some(({ kind }) => kind === "externalIP" || kind === "loadBalancer");
  return sidesOf(rules).flatMap((nodePort) => {
    if (!nodePort && !hasAddress) return [];
    const all = to("goto", stickyChain(rules, "", nodePort));
    const chain = stickyExternalChain(rules, nodePort);
    if (policy === "Cluster") {
      return [chainOf(chain, [{ statements: [setMark(context.masqueradeMark)] }, { statements: [all] }])];
    }
    return [chainOf(chain, externalLocalRules(context, all, to("goto", stickyChain(rules, "local-", nodePort))))];
  });
}

/** Whether chains are for node ports: for addresses always, and for node ports if there are any. */
export function sidesOf({ frontends }: PortRules): readonly boolean[] {
  return frontends.some(({ kind }) => kind === "nodePort") ? [false, true] : [false];
}

function learnRules(rules: PortRules, seconds: number, { family }: ChainContext): readonly BuiltRule[] {
  const daddr = address(family, "daddr");
  const saddr = address(family, "saddr");
  return scopesOf(rules).flatMap((scope) =>
    targetPorts(rules, scope).map((port): BuiltRule => {
      const isMember = inSet([daddr, dport(rules.protocol)], membersOf(family, rules, scope).name);
      const learn: NftStatement = update(affinityName(rules, scope, port), saddr, seconds, daddr);
      return { statements: [protocolIs(rules.protocol), isMember, dportIs(rules.protocol, port), learn] };
    }),
  );
}

function chainOf(chain: string, rules: readonly BuiltRule[]): StickyChain {
  return { chain, rules, text: rules.map(ruleText).join("\n") };
}
