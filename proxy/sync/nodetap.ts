/**
 * Stands between a source and the state for the sake of the Node: what decides about rules is what the node was last
 * known to have, whatever becomes of its object, while health wants to know what is there now.
 *
 * A Node that is deleted and registered anew, or loses its addresses for a moment, shall not close node ports.
 *
 * @module
 */
import type { NodeObject } from "../objects/objects.ts";
import type { Kind, ObjectOf, Sink } from "../source/source.ts";

export interface NodeTapOptions {
  readonly to: Sink;
  readonly nodeName: string;
  /** The node as rules shall see it: with bindAddress in the place of its own address. */
  readonly adjust: (node: NodeObject) => NodeObject;
}

export class NodeTap implements Sink {
  readonly #options: NodeTapOptions;
  #node: NodeObject | undefined;
  #known: NodeObject | undefined;

  constructor(options: NodeTapOptions) {
    this.#options = options;
  }

  /** The Node as it is now; undefined if there is none. */
  get node(): NodeObject | undefined {
    return this.#node;
  }

  set<K extends Kind>(kind: K, key: string, object: ObjectOf[K]): void {
    if (kind === "Node" && "podCIDRs" in object) this.#take(object);
    else this.#options.to.set(kind, key, object);
  }

  delete(kind: Kind, key: string): void {
    if (kind !== "Node") this.#options.to.delete(kind, key);
    else if (key === this.#options.nodeName) this.#node = undefined;
  }

  keys(kind: Kind): Iterable<string> {
    if (kind !== "Node") return this.#options.to.keys(kind);
    return this.#node === undefined ? [] : [this.#options.nodeName];
  }

  synced(kind: Kind): void {
    // Without a Node there may be a bindAddress all the same.
    if (kind === "Node" && this.#known === undefined) this.#pass(NOBODY);
    this.#options.to.synced(kind);
  }

  malformed(kind: Kind, key: string, reason: string): void {
    this.#options.to.malformed(kind, key, reason);
    if (kind !== "Node") return;
    this.#node = undefined;
    if (this.#known !== undefined) this.#pass(this.#known);
  }

  connection(kind: Kind, state: "up" | "down", reason?: string): void {
    this.#options.to.connection(kind, state, reason);
  }

  #take(node: NodeObject): void {
    if (node.name !== this.#options.nodeName) return;
    this.#node = node;
    const { addresses = [], podCIDRs = [] } = this.#known ?? {};
    this.#known = {
      ...node,
      addresses: node.addresses.length > 0 ? node.addresses : addresses,
      podCIDRs: node.podCIDRs.length > 0 ? node.podCIDRs : podCIDRs,
    };
    this.#pass(this.#known);
  }

  #pass(node: NodeObject): void {
    const { to, nodeName, adjust } = this.#options;
    to.set("Node", nodeName, adjust({ ...node, name: nodeName }));
  }
}

const NOBODY: NodeObject = {
  name: "",
  addresses: [],
  podCIDRs: [],
  zone: undefined,
  deleting: false,
  leaving: false,
};
