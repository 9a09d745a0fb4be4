/**
 * What one service is in the kernel: elements of maps, and chains that they lead to. The one place that decides it;
 * whoever writes, prints, compares or checks elements goes through here.
 *
 * @module
 */

import { formatCidr } from "../../lib/net/cidr.ts";
import type { Protocol } from "../objects/objects.ts";
import type { Endpoint, Frontend, PortRules } from "../table/types.ts";
import { REFUSE } from "./base.ts";
import { type ChainContext, chainsBehind, externalChain, pickChain } from "./chains.ts";
import { cidrsOf } from "./cidrs.ts";
import { LOCAL_INDEX, type ProxySet } from "./sets.ts";
import {
  endpointsOf,
  isSticky,
  learnChain,
  membersOf,
  scopesOf,
  sidesOf,
  stickyChain,
  stickyExternalChain,
} from "./sticky.ts";

/** An element, in the words of services. One object is used for all: who wants to keep one copies it. */
export interface Element {
  set: ProxySet;
  address: string;
  protocol: Protocol;
  port: number;
  index: number;
  /** A CIDR. */
  source: string;
  /** An endpoint's address, or a chain to go to: empty is `drop`. */
  target: string;
  targetPort: number;
  /** The service port, for who reads a listing; empty: none. */
  comment: string;
}

export interface Visitor {
  element(element: Readonly<Element>): void;
  /** A chain of chains.ts that is led to; those behind it come first. Who does not ask is not told. */
  shared?(chain: string): void;
}

const NOWHERE: readonly Endpoint[] = [];

/** Tells a visitor of services, one after the other. Nothing is made for one: there are tens of thousands. */
export class ServiceVisit {
  readonly #context: ChainContext;
  readonly #visitor: Visitor;
  readonly #element: Element;
  /** Names of the commonest chains, by their number of endpoints. */
  readonly #picks = new Map<number, string>();
  #rules: PortRules = {
    name: "",
    protocol: "tcp",
    frontends: [],
    endpoints: [],
    local: [],
    served: false,
    affinitySeconds: undefined,
  };
  #all = NOWHERE;
  #local = NOWHERE;
  #sticky = false;

  constructor(context: ChainContext, visitor: Visitor) {
    this.#context = context;
    this.#visitor = visitor;
    this.#element = blankElement(context.sets.services);
  }

  /** Tells all that the ports of one service are. */
  visit(ports: readonly PortRules[]): void {
    let clusterIP = "";
    for (const rules of ports) {
      this.#port(rules);
      for (const { kind, address } of rules.frontends) {
        if (kind !== "clusterIP" || address === clusterIP) continue;
        clusterIP = address;
        this.#put(this.#context.sets.clusterIPs, address, 0);
      }
    }
  }

  #port(rules: PortRules): void {
    this.#rules = rules;
    this.#all = endpointsOf(rules, "");
    this.#local = endpointsOf(rules, "local-");
    this.#sticky = isSticky(rules);
    this.#element.protocol = rules.protocol;
    for (const frontend of rules.frontends) this.#frontend(frontend);
    this.#hairpins();
    if (this.#sticky) this.#stickyPort();
  }

  #frontend(frontend: Frontend): void {
    const { sets } = this.#context;
    const { kind, policy, sourceRanges } = frontend;
    const nodePort = kind === "nodePort";
    const chain = this.#chainOf(frontend);
    if (chain === undefined) {
      this.#verdict(nodePort ? sets.unservedNodeports : sets.unserved, frontend, this.#rules.served ? "" : REFUSE);
    } else {
      this.#verdict(nodePort ? sets.nodeports : sets.services, frontend, chain);
      if (kind !== "clusterIP" || policy === "Cluster") this.#endpoints(frontend, this.#all, 0);
      if (policy === "Local") this.#endpoints(frontend, this.#local, LOCAL_INDEX);
      if (this.#sticky) this.#learner(frontend);
    }
    if (kind === "externalIP" || kind === "loadBalancer") this.#external(frontend);
    if (sourceRanges !== undefined) this.#ranges(frontend, sourceRanges);
  }

  /** Where connections to a frontend go; undefined if there is no endpoint for any of them. */
  #chainOf({ kind, policy }: Frontend): string | undefined {
    const nodePort = kind === "nodePort";
    const all = this.#all.length;
    const local = this.#local.length;
    if (kind === "clusterIP") {
      const isLocal = policy === "Local";
      const count = isLocal ? local : all;
      if (count === 0) return undefined;
      if (this.#sticky) return stickyChain(this.#rules, isLocal ? "local-" : "", false);
      return this.#shared(isLocal ? pickChain(count, { local: true }) : this.#pick(count));
    }
    if (all === 0) return undefined;
    if (this.#sticky) return stickyExternalChain(this.#rules, nodePort);
    return this.#shared(externalChain(all, policy === "Local" ? { local, nodePort } : { nodePort }));
  }

  #pick(count: number): string {
    let name = this.#picks.get(count);
    if (name === undefined) {
      name = pickChain(count);
      this.#picks.set(count, name);
    }
    return name;
  }

  #shared(chain: string): string {
    if (this.#visitor.shared === undefined) return chain;
    for (const behind of chainsBehind(chain)) this.#visitor.shared(behind);
    this.#visitor.shared(chain);
    return chain;
  }

  #stickyPort(): void {
    for (const scope of scopesOf(this.#rules)) {
      const endpoints = scope === "" ? this.#all : this.#local;
      const set = membersOf(this.#context.family, this.#rules, scope);
      for (const { address, port } of endpoints) this.#put(set, address, port);
      if (endpoints.length === 0) continue;
      for (const nodePort of sidesOf(this.#rules)) {
        this.#visitor.shared?.(pickChain(endpoints.length, { local: scope !== "", nodePort }));
      }
    }
  }

  #endpoints({ kind, address, port }: Frontend, endpoints: readonly Endpoint[], offset: number): void {
    const { sets } = this.#context;
    const set = (kind === "nodePort" ? sets.nodeportEndpoints : sets.endpoints)[this.#rules.protocol];
    const element = this.#fill(set, address, port);
    for (let index = 0; index < endpoints.length; index++) {
      const endpoint = endpoints[index];
      if (endpoint === undefined) continue;
      element.index = offset + index;
      element.target = endpoint.address;
      element.targetPort = endpoint.port;
      this.#visitor.element(element);
    }
  }

  /** An endpoint that is the very address, in a node's own network, is reached without any change of a packet. */
  #external({ address, port }: Frontend): void {
    const isIt = (endpoint: Endpoint) => endpoint.address === address && endpoint.port === port;
    if (!this.#all.some(isIt) && !this.#local.some(isIt)) this.#put(this.#context.sets.externals, address, port);
  }

  #hairpins(): void {
    const { hairpin } = this.#context.sets;
    for (const { local, address, port } of this.#all) if (local) this.#put(hairpin, address, port);
    for (const endpoint of this.#local) {
      const isAmongAll = this.#all.some(({ address, port }) => address === endpoint.address && port === endpoint.port);
      if (!isAmongAll) this.#put(hairpin, endpoint.address, endpoint.port);
    }
  }

  #ranges({ address, port }: Frontend, sourceRanges: readonly string[]): void {
    const { family, sets } = this.#context;
    this.#put(sets.ranged, address, port);
    const element = this.#fill(sets.ranges, address, port);
    for (const cidr of cidrsOf(family, sourceRanges)) {
      element.source = formatCidr(cidr);
      this.#visitor.element(element);
    }
  }

  #learner({ kind, address, port }: Frontend): void {
    const { learners, nodeportLearners } = this.#context.sets;
    const element = this.#fill(kind === "nodePort" ? nodeportLearners : learners, address, port);
    element.target = learnChain(this.#rules);
    this.#visitor.element(element);
  }

  #verdict(set: ProxySet, { address, port }: Frontend, chain: string): void {
    const element = this.#fill(set, address, port);
    element.target = chain;
    element.comment = this.#rules.name;
    this.#visitor.element(element);
  }

  #put(set: ProxySet, address: string, port: number): void {
    this.#visitor.element(this.#fill(set, address, port));
  }

  #fill(set: ProxySet, address: string, port: number): Element {
    const element = this.#element;
    element.set = set;
    element.address = address;
    element.port = port;
    element.index = 0;
    element.source = "";
    element.target = "";
    element.targetPort = 0;
    element.comment = "";
    return element;
  }
}

/** An element of which all is still to be said. */
export function blankElement(set: ProxySet): Element {
  return { set, address: "", protocol: "tcp", port: 0, index: 0, source: "", target: "", targetPort: 0, comment: "" };
}
