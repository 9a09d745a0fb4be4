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
  /** A chain of chains.ts that is led to; those behind it come first. */
  shared(chain: string): void;
}

/** Tells `visitor` all that the ports of one service are. */
export function visitService(ports: readonly PortRules[], context: ChainContext, visitor: Visitor): void {
  let clusterIP = "";
  for (const rules of ports) {
    const visit = new PortVisit(rules, context, visitor);
    visit.port();
    for (const { kind, address } of rules.frontends) {
      if (kind !== "clusterIP" || address === clusterIP) continue;
      clusterIP = address;
      visit.clusterIP(address);
    }
  }
}

class PortVisit {
  readonly #rules: PortRules;
  readonly #context: ChainContext;
  readonly #visitor: Visitor;
  readonly #element: Element;
  readonly #all: readonly Endpoint[];
  readonly #local: readonly Endpoint[];
  readonly #sticky: boolean;

  constructor(rules: PortRules, context: ChainContext, visitor: Visitor) {
    this.#rules = rules;
    this.#context = context;
    this.#visitor = visitor;
    this.#all = endpointsOf(rules, "");
    this.#local = endpointsOf(rules, "local-");
    this.#sticky = isSticky(rules);
    const { protocol } = rules;
    const set = context.sets.services;
    this.#element = {
      set,
      address: "",
      protocol,
      port: 0,
      index: 0,
      source: "",
      target: "",
      targetPort: 0,
      comment: "",
    };
  }

  port(): void {
    for (const frontend of this.#rules.frontends) this.#frontend(frontend);
    this.#hairpins();
    if (this.#sticky) this.#stickyPort();
  }

  clusterIP(address: string): void {
    this.#put(this.#context.sets.clusterIPs, address, 0);
  }

  #frontend(frontend: Frontend): void {
    const { sets } = this.#context;
    const { kind, address, port, policy, sourceRanges } = frontend;
    const nodePort = kind === "nodePort";
    const comment = this.#rules.name;
    const chain = this.#chainOf(frontend);
    if (chain === undefined) {
      const verdict = { chain: this.#rules.served ? "" : REFUSE, comment };
      this.#put(nodePort ? sets.unservedNodeports : sets.unserved, address, port, verdict);
    } else {
      this.#put(nodePort ? sets.nodeports : sets.services, address, port, { chain, comment });
      if (kind !== "clusterIP" || policy === "Cluster") this.#endpoints(frontend, this.#all, 0);
      if (policy === "Local") this.#endpoints(frontend, this.#local, LOCAL_INDEX);
      const learn = { chain: learnChain(this.#rules), comment: "" };
      if (this.#sticky) this.#put(nodePort ? sets.nodeportLearners : sets.learners, address, port, learn);
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
      return this.#shared(pickChain(count, { local: isLocal }));
    }
    if (all === 0) return undefined;
    if (this.#sticky) return stickyExternalChain(this.#rules, nodePort);
    return this.#shared(externalChain(all, policy === "Local" ? { local, nodePort } : { nodePort }));
  }

  #shared(chain: string): string {
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
        this.#visitor.shared(pickChain(endpoints.length, { local: scope !== "", nodePort }));
      }
    }
  }

  #endpoints({ kind, address, port }: Frontend, endpoints: readonly Endpoint[], offset: number): void {
    const { sets } = this.#context;
    const set = (kind === "nodePort" ? sets.nodeportEndpoints : sets.endpoints)[this.#rules.protocol];
    const element = this.#fill(set, address, port);
    endpoints.forEach((endpoint, index) => {
      element.index = offset + index;
      element.target = endpoint.address;
      element.targetPort = endpoint.port;
      this.#visitor.element(element);
    });
  }

  /** An endpoint that is the very address, in a node's own network, is reached without any change of a packet. */
  #external({ address, port }: Frontend): void {
    const isIt = (endpoint: Endpoint) => endpoint.address === address && endpoint.port === port;
    if (!this.#all.some(isIt) && !this.#local.some(isIt)) this.#put(this.#context.sets.externals, address, port);
  }

  #hairpins(): void {
    const put = ({ address, port }: Endpoint) => this.#put(this.#context.sets.hairpin, address, port);
    for (const endpoint of this.#all) if (endpoint.local) put(endpoint);
    for (const endpoint of this.#local) {
      const isAmongAll = this.#all.some(({ address, port }) => address === endpoint.address && port === endpoint.port);
      if (!isAmongAll) put(endpoint);
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

  #put(set: ProxySet, address: string, port: number, verdict: Verdict = NONE): void {
    const element = this.#fill(set, address, port);
    element.target = verdict.chain;
    element.comment = verdict.comment;
    this.#visitor.element(element);
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

interface Verdict {
  /** Empty: `drop`. */
  readonly chain: string;
  readonly comment: string;
}

const NONE: Verdict = { chain: "", comment: "" };
