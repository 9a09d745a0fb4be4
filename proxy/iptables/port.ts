/**
 * One service port as chains and rules: what kube-proxy writes, but that endpoints have a chain of their own only
 * where clients are to stay with them. A rule of the service's chain takes an endpoint by chance and rewrites the
 * packet's destination at once; iptables-nft pays for chains, hardly for rules.
 *
 * @module
 */
import type { Endpoint, Frontend, PortRules } from "../table/types.ts";
import { frontendKey } from "./key.ts";
import { affinitySet, endpointChain, endpointHash, hostPort, MARK_MASQ, type PortChains, portChains } from "./names.ts";
import { fromSource, isFamily, joined, oneOf, rule, toDestination } from "./rule.ts";
import type { Shape } from "./shape.ts";

/** A rule that stands among those of other services. */
export interface Entry {
  /** Its place: hexadecimal digits, see key.ts. No two of one list have the same. */
  readonly key: string;
  /** What follows the chain's name. */
  readonly rule: string;
}

/** The chains that services share, and the list of entries that each is made of. */
export const LISTS = ["addresses", "nodePorts", "refused", "refusedOutside", "firewall", "healthChecks"] as const;
export type ListName = (typeof LISTS)[number];

export interface PortPlan {
  /** Chains of the nat table that are its own, with what follows each rule's `-A CHAIN `; what is jumped to comes first. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  readonly entries: Readonly<Record<ListName, readonly Entry[]>>;
  /** Sets that its rules name. */
  readonly sets: Iterable<string>;
}

export function planPort(port: PortRules, shape: Shape): PortPlan {
  return new PortPlanner(port, shape).plan();
}

class PortPlanner {
  readonly #port: PortRules;
  readonly #shape: Shape;
  readonly #names: PortChains;
  readonly #chains = new Map<string, string[]>();
  readonly #sets = new Set<string>();
  /** Of all load-balancer addresses. */
  readonly #ranges = new Set<string>();
  readonly #entries: Record<ListName, Entry[]> = {
    addresses: [],
    nodePorts: [],
    refused: [],
    refusedOutside: [],
    firewall: [],
    healthChecks: [],
  };

  constructor(port: PortRules, shape: Shape) {
    this.#port = port;
    this.#shape = shape;
    this.#names = portChains(port.name, port.protocol);
  }

  plan(): PortPlan {
    const { frontends, healthCheckNodePort } = this.#port;
    const outside = frontends.filter(({ kind }) => kind !== "clusterIP");
    this.#endpointChains();
    if (outside.length > 0 && this.#reachable) this.#externalChain(outside);
    for (const frontend of frontends) {
      if (frontend.kind === "clusterIP") this.#clusterIP(frontend);
      else this.#outside(frontend);
    }
    if (healthCheckNodePort !== undefined) this.#healthCheck(healthCheckNodePort);
    return { chains: this.#chains, entries: this.#entries, sets: this.#sets };
  }

  /** Whether anybody may come through at all; if not, nobody is led anywhere and there are no chains. */
  get #reachable(): boolean {
    const { served, endpoints, local } = this.#port;
    return served && (endpoints.length > 0 || local.length > 0);
  }

  #endpointsOf({ policy }: Frontend): readonly Endpoint[] {
    return policy === "Local" ? this.#port.local : this.#port.endpoints;
  }

  // KUBE-SVC and KUBE-SVL, and KUBE-SEP where there are any.

  #endpointChains(): void {
    const { frontends, endpoints, local } = this.#port;
    if (!this.#reachable) return;
    // Outside clients with policy Local need the other set as well: for this node and its pods.
    const usesCluster = frontends.some(({ kind, policy }) => kind !== "clusterIP" || policy === "Cluster");
    const usesLocal = frontends.some(({ policy }) => policy === "Local");
    if (usesCluster && endpoints.length > 0) this.#serviceChain(this.#names.svc, endpoints);
    if (usesLocal && local.length > 0) this.#serviceChain(this.#names.svl, local);
  }

  #serviceChain(chain: string, endpoints: readonly Endpoint[]): void {
    const { affinitySeconds, protocol } = this.#port;
    const { bpf } = this.#shape;
    if (affinitySeconds === undefined && bpf) {
      const rules = endpoints.map((endpoint, at) =>
        rule({ protocol, match: oneOf(endpoints.length - at), target: dnatTo(endpoint) }),
      );
      this.#chains.set(chain, rules);
      return;
    }
    const own = endpoints.map((endpoint) => this.#endpointChain(endpoint));
    const remembered = affinitySeconds === undefined ? [] : own.map(({ known, jump }) => `${known} ${jump}`);
    const chosen = own.map(({ jump }, at) => rule({ match: oneOf(endpoints.length - at), target: jump }));
    this.#chains.set(chain, [...remembered, ...chosen]);
  }

  /** The chain of one endpoint; how a client is known to be its. */
  #endpointChain(endpoint: Endpoint): { readonly known: string; readonly jump: string } {
    const { name, protocol, affinitySeconds: seconds } = this.#port;
    const { family, bpf, ipset } = this.#shape;
    const hash = endpointHash(name, protocol, endpoint);
    const chain = endpointChain(hash);
    const set = affinitySet(family, hash);
    const mask = family === 4 ? "255.255.255.255" : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    const byName = `--name ${chain} --mask ${mask} --rsource`;
    const rules: string[] = [];
    const add = (parts: Parameters<typeof rule>[0]) => rules.push(rule({ comment: name, ...parts }));
    if (!bpf) add({ where: fromSource(endpoint.address), target: `-j ${MARK_MASQ}` });
    if (seconds !== undefined && ipset) add({ target: `-j SET --add-set ${set} src --exist --timeout ${seconds}` });
    const learn = seconds !== undefined && !ipset ? `-m recent --set ${byName}` : undefined;
    add({ protocol, match: learn, target: dnatTo(endpoint) });
    if (seconds !== undefined && ipset) this.#sets.add(set);
    this.#chains.set(chain, rules);
    const known = ipset ? `-m set --match-set ${set} src` : `-m recent --rcheck --seconds ${seconds} --reap ${byName}`;
    return { known, jump: `-j ${chain}` };
  }

  // KUBE-EXT and KUBE-FW.

  #externalChain(outside: readonly Frontend[]): void {
    const { name, endpoints, local } = this.#port;
    const { svc, svl, ext } = this.#names;
    const rules: string[] = [];
    const add = (parts: Parameters<typeof rule>[0]) => rules.push(rule(parts));
    // An address among the cluster IPs: what has been marked for being one of these.
    if (outside.some(({ address, policy }) => policy === "Local" && this.#shape.isCommon(address))) {
      add({ target: `-j MARK --set-xmark 0x0/${this.#shape.mark}` });
    }
    // Of one service all outside frontends have the same policy.
    if (outside.some(({ policy }) => policy === "Cluster")) {
      add({ comment: `masquerade traffic for ${name} external destinations`, target: `-j ${MARK_MASQ}` });
      if (endpoints.length > 0) add({ target: `-j ${svc}` });
    } else {
      if (endpoints.length > 0) {
        for (const where of this.#shape.local) {
          add({ where, comment: `pod traffic for ${name} external destinations`, target: `-j ${svc}` });
        }
        const match = "-m addrtype --src-type LOCAL";
        const about = `LOCAL traffic for ${name} external destinations`;
        add({ comment: `masquerade ${about}`, match, target: `-j ${MARK_MASQ}` });
        add({ comment: `route ${about}`, match, target: `-j ${svc}` });
      }
      if (local.length > 0) add({ target: `-j ${svl}` });
    }
    this.#chains.set(ext, rules);
  }

  #firewallChain(ranges: readonly string[]): void {
    const { name } = this.#port;
    const { ext, fw } = this.#names;
    const comment = `${name} loadbalancer IP`;
    for (const cidr of ranges) this.#ranges.add(cidr);
    const rules = [...this.#ranges]
      .filter((cidr) => isFamily(this.#shape.family, cidr))
      .map((cidr) => rule({ where: fromSource(cidr), comment, target: `-j ${ext}` }));
    this.#chains.set(fw, [
      ...rules,
      rule({ comment: `other traffic to ${name} will be dropped by KUBE-PROXY-FIREWALL` }),
    ]);
  }

  // What leads there, and what refuses.

  #clusterIP(frontend: Frontend): void {
    const { name } = this.#port;
    const { svc, svl } = this.#names;
    if (this.#reachable && this.#endpointsOf(frontend).length > 0) {
      const chain = frontend.policy === "Local" ? svl : svc;
      this.#add("addresses", frontend, `${name} cluster IP`, `-j ${chain}`);
      this.#masquerade(frontend, chain);
    } else this.#refuse("refused", frontend);
  }

  #masquerade(frontend: Frontend, chain: string): void {
    const { masquerade } = this.#shape;
    if (masquerade === undefined || this.#shape.isCommon(frontend.address)) return;
    const { name, protocol } = this.#port;
    const { source, link, target } = masquerade;
    const where = joined(source, toDestination(frontend.address), link);
    const parts = { where, protocol, comment: `${name} cluster IP`, port: frontend.port, target: `-j ${target}` };
    this.#chains.get(chain)?.unshift(rule(parts));
  }

  #outside(frontend: Frontend): void {
    const { name } = this.#port;
    const { ext, fw } = this.#names;
    const { kind, sourceRanges } = frontend;
    if (this.#reachable) {
      const guarded = sourceRanges !== undefined;
      if (guarded) {
        this.#firewallChain(sourceRanges);
        this.#add("firewall", frontend, `${name} traffic not accepted by ${fw}`, "-j DROP");
      }
      const target = `-j ${guarded ? fw : ext}`;
      if (kind === "nodePort") this.#add("nodePorts", frontend, name, target);
      else
        this.#add("addresses", frontend, `${name} ${kind === "externalIP" ? "external" : "loadbalancer"} IP`, target);
    }
    if (!this.#reachable || this.#endpointsOf(frontend).length === 0) this.#refuse("refusedOutside", frontend);
  }

  /** Nobody anywhere: the client is told. Somebody, but not here: a load balancer shall ask another node. */
  #refuse(list: ListName, frontend: Frontend): void {
    const { name } = this.#port;
    const told = `-j REJECT --reject-with ${this.#shape.family === 4 ? "icmp-port-unreachable" : "icmp6-port-unreachable"}`;
    if (this.#port.served) this.#add(list, frontend, `${name} has no local endpoints`, "-j DROP");
    else this.#add(list, frontend, `${name} has no endpoints`, told);
  }

  #healthCheck(port: number): void {
    const comment = `${this.#port.name} health check node port`;
    const key = frontendKey(this.#shape.family, "tcp", { address: "", port });
    this.#entries.healthChecks.push({ key, rule: rule({ protocol: "tcp", comment, port, target: "-j ACCEPT" }) });
  }

  #add(list: ListName, { address, port }: Frontend, comment: string, target: string): void {
    const { protocol } = this.#port;
    const where = address === "" ? undefined : toDestination(address);
    // A node port is one of the node's addresses; in nat KUBE-SERVICES has seen to that.
    const match = address === "" && list === "refusedOutside" ? "-m addrtype --dst-type LOCAL" : undefined;
    this.#entries[list].push({
      key: frontendKey(this.#shape.family, protocol, { address, port }),
      rule: rule({ where, protocol, comment, match, port, target }),
    });
  }
}

function dnatTo(endpoint: Endpoint): string {
  return `-j DNAT --to-destination ${hostPort(endpoint)}`;
}
