/**
 * All rules of a table of services, and what of them has to be known for the next change: the entries of the chains
 * that services share, and a fingerprint of every chain. The chains' rules themselves are not kept, as a change
 * brings the services that it changes from.
 *
 * @module
 */
import type { PortRules } from "../table/types.ts";
import { fixedChains, serviceFrame } from "./base.ts";
import { CANARY, EXTERNAL_SERVICES, MARKER, NODE_PORTS, PROXY_FIREWALL, SERVICES } from "./names.ts";
import { type Entry, LISTS, type ListName, type PortPlan, planPort } from "./port.ts";
import type { Shape } from "./shape.ts";
import { type Chains, fingerprint } from "./text.ts";
import { type Entries, sortEntries, visitTree } from "./tree.ts";

export type Lists = Readonly<Record<ListName, Entries>>;

/** The chains of the filter table that are a list of entries each. The real proxy knows no others there to remove. */
export const FILTER_LISTS: readonly (readonly [string, ListName])[] = [
  [SERVICES, "refused"],
  [EXTERNAL_SERVICES, "refusedOutside"],
  [PROXY_FIREWALL, "firewall"],
  [NODE_PORTS, "healthChecks"],
];

/** The roots of the trees of the nat table. */
export const TREES: readonly (readonly [string, ListName])[] = [
  [SERVICES, "addresses"],
  [NODE_PORTS, "nodePorts"],
];

/** What is in place. */
export interface Layout {
  readonly shape: Shape;
  lists: Lists;
  readonly sets: Set<string>;
  /** By chain. */
  readonly nat: Map<string, number>;
  readonly filter: Map<string, number>;
}

/** The plan of several ports as one. */
export interface ServicePlan {
  /** Of the nat table; what is jumped to comes first. */
  readonly chains: Map<string, readonly string[]>;
  readonly entries: Readonly<Record<ListName, Entry[]>>;
  readonly sets: Set<string>;
}

export function planPorts(services: Iterable<readonly PortRules[]>, shape: Shape): ServicePlan {
  const all = emptyPlan();
  for (const ports of services) for (const port of ports) addPlan(all, planPort(port, shape));
  return all;
}

export function emptyPlan(): ServicePlan {
  return {
    chains: new Map(),
    entries: { addresses: [], nodePorts: [], refused: [], refusedOutside: [], firewall: [], healthChecks: [] },
    sets: new Set(),
  };
}

/** Puts a plan to others. */
export function addPlan(all: ServicePlan, plan: PortPlan): void {
  for (const [chain, rules] of plan.chains) all.chains.set(chain, rules);
  for (const list of LISTS) for (const entry of plan.entries[list]) all.entries[list].push(entry);
  for (const set of plan.sets) all.sets.add(set);
}

export function sortLists({ entries }: ServicePlan): Lists {
  return {
    addresses: sortEntries(entries.addresses),
    nodePorts: sortEntries(entries.nodePorts),
    refused: sortEntries(entries.refused),
    refusedOutside: sortEntries(entries.refusedOutside),
    firewall: sortEntries(entries.firewall),
    healthChecks: sortEntries(entries.healthChecks),
  };
}

/** The chains of the nat table beside the services' own, those that are jumped to first. */
export function sharedNatChains(shape: Shape, lists: Lists): Map<string, readonly string[]> {
  const chains = new Map<string, readonly string[]>(fixedChains(shape).nat);
  for (const empty of [MARKER, CANARY]) chains.set(empty, []);
  // Node ports are what KUBE-SERVICES ends with.
  for (const [root, list] of [...TREES].reverse()) {
    visitTree(root, lists[list], (chain, rules) => chains.set(chain, framed(chain, rules, shape)));
  }
  return chains;
}

/** KUBE-SERVICES has rules before and behind those of services. */
export function framed(chain: string, rules: readonly string[], shape: Shape): readonly string[] {
  if (chain !== SERVICES) return rules;
  const { before, behind } = serviceFrame(shape);
  return [...before, ...rules, ...behind];
}

/** The chains of the filter table. */
export function filterChains(shape: Shape, lists: Lists): Map<string, readonly string[]> {
  const chains = new Map<string, readonly string[]>([...fixedChains(shape).filter, [CANARY, []]]);
  for (const [chain, list] of FILTER_LISTS) chains.set(chain, rulesOf(lists[list]));
  return chains;
}

export function rulesOf(entries: Entries): readonly string[] {
  return entries.map(({ rule }) => rule);
}

/** Notes that these chains are in place now. */
export function record(fingerprints: Map<string, number>, chains: Chains): void {
  for (const [chain, rules] of chains) fingerprints.set(chain, fingerprint(rules));
}
