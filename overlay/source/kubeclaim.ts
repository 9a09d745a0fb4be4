/**
 * Keeps on this host's own Node what the host offers, and whether its network works: writes what is not there whenever
 * the Node is seen without it.
 *
 * The watch alone says what the Node holds; a write is done once it is seen there. So when a claim is told to be held,
 * everything that others wrote before it has been seen as well, and two hosts that write the same address at the same
 * moment both learn of it.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import type { KubeClient } from "../../lib/kube/client.ts";
import { formatCidr } from "../../lib/net/cidr.ts";
import { leadsAstray } from "../lease/identity.ts";
import { leaseOf } from "../lease/lease.ts";
import { mapParts, valuesOf } from "../parts.ts";
import type { Claim, Lease, NetworkConfig } from "../types.ts";
import { objectionTo, sharesAddress } from "./assigned.ts";
import {
  annotationsToRemove,
  annotationsToWrite,
  leaseOfNode,
  type NodeRecord,
  overwritten,
  subnetsOfNode,
  unheardWishes,
} from "./kubenode.ts";
import { NodeWriter, patchNode } from "./kubewriter.ts";
import type { OwnLease } from "./source.ts";

export interface NodeClaimOptions {
  readonly nodeName: string;
  /** Of annotations, with its slash. */
  readonly prefix: string;
  readonly setNetworkUnavailable: boolean;
  readonly log: Log;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly own: (answer: OwnLease) => void;
}

/** What the API server has. */
export interface Seen {
  readonly client: KubeClient;
  readonly networks: NetworkConfig["networks"];
  /** Our own; undefined: there is none. */
  readonly node: NodeRecord | undefined;
  readonly leases: Iterable<Lease>;
}

type Patched = Readonly<Record<string, string | null>>;

/** ms: within this, two hosts that wrote the same address may not have known of each other. */
const RACE_MS = 10_000;

export class NodeClaim {
  readonly #options: NodeClaimOptions;
  readonly #writer: NodeWriter;
  #seen: Seen | undefined;
  #claim: Claim | undefined;
  #ready: boolean | undefined;
  #told: OwnLease | undefined;
  /** When the claim was first held, by the clock. */
  #heldSince: number | undefined;
  /** Addresses that the Node asks for in vain, as last logged. */
  #wishes = "";

  constructor(options: NodeClaimOptions) {
    this.#options = options;
    const { nodeName, log, clock, signal } = options;
    this.#writer = new NodeWriter({
      ...{ nodeName, log, clock, signal },
      due: () => this.#look(),
      denied: (reason) => {
        if (this.#claim !== undefined && this.#told?.kind !== "held") this.#tell({ kind: "refused", reason });
      },
    });
  }

  claim(claim: Claim | undefined): void {
    this.#claim = claim;
    this.#told = undefined;
    this.#heldSince = undefined;
    queueMicrotask(() => this.#look());
  }

  ready(ready: boolean | undefined): void {
    this.#ready = ready;
    queueMicrotask(() => this.#look());
  }

  /** What was seen counts no more, nor the client that it was seen by: nothing is written until it is seen anew. */
  forget(): void {
    this.#seen = undefined;
  }

  /** Something was seen that may matter. */
  see(seen: Seen): void {
    this.#seen = seen;
    this.#look();
  }

  /** Compares what is wanted with what is seen, writes the difference, and tells how the claim fares. */
  #look(): void {
    const [seen, claim] = [this.#seen, this.#claim];
    if (seen === undefined || this.#options.signal.aborted) return;
    const decided = claim === undefined ? undefined : this.#decide(claim, seen);
    const annotations = decided?.annotations ?? {};
    const patch = patchOf(annotations, seen.node === undefined ? undefined : this.#condition(seen.node));
    if (decided !== undefined && (decided.answer.kind !== "held" || isEmpty(annotations))) this.#tell(decided.answer);
    if (patch === undefined) this.#writer.rest();
    else this.#writer.write(patch, seen.client);
  }

  #decide(claim: Claim, { node, networks, leases }: Seen): { answer: OwnLease; annotations?: Patched } {
    const { nodeName, prefix } = this.#options;
    if (node === undefined)
      return refused(`there is no Node ${nodeName}: give the name of this host's with --node-name`);
    try {
      const offered = overwritten(claim, node);
      this.#warnOfWishes(claim, node);
      if (node.podCIDRs.length === 0) return refused(noPodCIDR(node, networks));
      const subnets = subnetsOfNode(node);
      const others = [...leases].filter(({ key }) => key !== nodeName);
      const assigner = `Node ${nodeName} by its podCIDRs`;
      const objection = objectionTo({ claim: offered, subnets, assigner, networks, others });
      if (objection !== undefined) return { answer: objection };
      const rival = this.#rival(offered, node, others);
      if (rival !== undefined) return { ...refused(rival), annotations: this.#withdrawn(offered, node) };
      const lease = leaseOf(nodeName, { ...offered, host: nodeName }, subnets);
      return { answer: { kind: "held", lease }, annotations: annotationsToWrite(offered, node, prefix) };
    } catch (error) {
      return refused(`Node ${nodeName}: ${messageOf(error)}`);
    }
  }

  /**
   * Why another host's use of our address keeps us from using it: who was there first has it. Of two that came at the
   * same moment it is the one whose name comes first.
   */
  #rival(offered: Claim, node: NodeRecord, others: readonly Lease[]): string | undefined {
    const shared = sharesAddress(offered, others);
    if (shared === undefined) return undefined;
    const { holder, address } = shared;
    const settled = this.#heldSince !== undefined && this.#options.clock.now() - this.#heldSince > RACE_MS;
    if (carries(node, offered) && (settled || node.name < holder.host)) return undefined;
    return `Node ${holder.host} has the address ${address} of this host, too: choose another interface or address on one of them, or delete Node ${holder.host} if its host is no more`;
  }

  /** A host that lost its address to another must not go on telling it, nor one that it had before. */
  #withdrawn(offered: Claim, node: NodeRecord): Patched {
    const told = toldBy(node);
    const addresses = mapParts(told?.parts ?? {}, ({ address }) => address);
    const wrong = told !== undefined && (carries(node, offered) || leadsAstray(addresses, offered));
    return wrong ? annotationsToRemove(node, this.#options.prefix) : {};
  }

  #condition({ unavailable }: NodeRecord): object | undefined {
    const wanted = this.#ready;
    if (!this.#options.setNetworkUnavailable || wanted === undefined) return undefined;
    const status = wanted ? "False" : "True";
    if (unavailable?.status === status) return undefined;
    const now = new Date(this.#options.clock.wall()).toISOString().replace(/\.\d+Z$/, "Z");
    const [reason, message] = wanted ? WORKS : FAILS;
    return {
      ...{ type: "NetworkUnavailable", status, reason, message },
      lastTransitionTime: now,
      lastHeartbeatTime: now,
    };
  }

  #tell(answer: OwnLease): void {
    if (answer.kind !== "held") this.#heldSince = undefined;
    else this.#heldSince ??= this.#options.clock.now();
    if (isDeepStrictEqual(answer, this.#told)) return;
    this.#told = answer;
    this.#options.own(answer);
  }

  #warnOfWishes(claim: Claim, node: NodeRecord): void {
    const wishes = unheardWishes(claim, node);
    const text = wishes.map(([name, address]) => `${name} ${address}`).join(", ");
    if (text !== "" && text !== this.#wishes) {
      this.#options.log.warn("this host's Node asks for another address: give it with --public-ip", {
        annotations: text,
      });
    }
    this.#wishes = text;
  }
}

/** Takes back what an agent has written on the Node of this name. */
export async function releaseNode(client: KubeClient, node: NodeRecord, prefix: string): Promise<void> {
  const ours = [WORKS, FAILS].some(([reason]) => reason === node.unavailable?.reason);
  const condition = ours ? { type: "NetworkUnavailable", $patch: "delete" } : undefined;
  const patch = patchOf(annotationsToRemove(node, prefix), condition);
  if (patch !== undefined) await patchNode(client, node.name, patch);
}

const WORKS = ["TsnetIsUp", "tsnet overlay runs on this node"] as const;
const FAILS = [
  "TsnetIsDown",
  "tsnet overlay cannot connect this node: see its log, or tsnet overlay status there",
] as const;

function patchOf(annotations: Patched, condition: object | undefined): object | undefined {
  if (isEmpty(annotations) && condition === undefined) return undefined;
  return {
    ...(!isEmpty(annotations) && { metadata: { annotations } }),
    ...(condition && { status: { conditions: [condition] } }),
  };
}

function isEmpty(annotations: Patched): boolean {
  return Object.keys(annotations).length === 0;
}

/** Whether the Node tells others one of these addresses. */
function carries(node: NodeRecord, offered: Claim): boolean {
  const told = toldBy(node);
  return told !== undefined && sharesAddress(offered, [told]) !== undefined;
}

/** What others read of the Node; undefined if they cannot. */
function toldBy(node: NodeRecord): Lease | undefined {
  try {
    return leaseOfNode(node);
  } catch {
    return undefined;
  }
}

function noPodCIDR({ name }: NodeRecord, networks: NetworkConfig["networks"]): string {
  const cidrs = valuesOf(networks).map(formatCidr).join(",");
  return `Node ${name} has no podCIDR yet: kube-controller-manager gives it one with --allocate-node-cidrs --cluster-cidr=${cidrs}`;
}

function refused(reason: string): { readonly answer: OwnLease } {
  return { answer: { kind: "refused", reason } };
}
