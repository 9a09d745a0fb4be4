/**
 * Nodes, as the API server tells of them, into leases; and our own, for whoever writes on it.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import type { Receiver } from "../../lib/kube/feed.ts";
import type { Lease } from "../types.ts";
import { leaseOfNode, type NodeRecord, readNode } from "./kubenode.ts";
import { Ledger } from "./ledger.ts";
import type { SourceEvents } from "./source.ts";

export interface NodeReceiverOptions {
  readonly events: SourceEvents;
  readonly nodeName: string;
  readonly prefix: string;
  /** All Nodes are known, and one of them may have changed; `node` is our own. */
  readonly seen: (node: NodeRecord | undefined, leases: Iterable<Lease>) => void;
}

export class NodeReceiver implements Receiver {
  readonly #options: NodeReceiverOptions;
  readonly #ledger: Ledger;
  #own: NodeRecord | undefined;
  /** A list is being read, and whether it has told of our own yet. */
  #listing = false;
  #ownUnseen = false;
  #state: "up" | "down" | undefined;

  constructor(options: NodeReceiverOptions) {
    this.#options = options;
    this.#ledger = new Ledger(options.events);
  }

  listing(): void {
    this.#listing = true;
    this.#ownUnseen = true;
    this.#ledger.begin();
  }

  object(raw: unknown): void {
    const node = readNode(raw, this.#options.prefix);
    if (node === undefined) return;
    if (node.name === this.#options.nodeName) {
      this.#own = node;
      this.#ownUnseen = false;
    }
    this.#record(node);
    this.#look();
  }

  deleted(raw: unknown): void {
    const node = readNode(raw, this.#options.prefix);
    if (node === undefined) return;
    if (node.name === this.#options.nodeName) this.#own = undefined;
    this.#ledger.delete(node.name);
    this.#look();
  }

  malformed(_text: string, reason: string): void {
    this.#ledger.malformed("nodes", reason);
  }

  listed(): void {
    if (this.#ownUnseen) this.#own = undefined;
    this.#listing = false;
    this.#ledger.end();
    this.#look();
  }

  connection(state: "up" | "down", reason?: string): void {
    // Another reflector begins where the one before has ended, and tells what is known.
    if (state === "up" && this.#state === "up") return;
    this.#state = state;
    this.#options.events.connection(state === "up", reason);
  }

  #record(node: NodeRecord): void {
    try {
      const lease = leaseOfNode(node);
      if (lease === undefined) this.#ledger.delete(node.name);
      else this.#ledger.set(lease);
    } catch (error) {
      this.#ledger.malformed(node.name, messageOf(error));
    }
  }

  #look(): void {
    if (!this.#listing) this.#options.seen(this.#own, this.#ledger.leases);
  }
}
