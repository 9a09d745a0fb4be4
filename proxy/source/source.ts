/**
 * Where objects come from: a Kubernetes API server, or a directory of manifests. Both tell the same {@link Sink}.
 *
 * @module
 */
import type { NodeObject, ServiceCidrObject, ServiceObject, SliceObject } from "../objects/objects.ts";

/** The kinds that a proxy watches, and what each becomes. */
export interface ObjectOf {
  Service: ServiceObject;
  EndpointSlice: SliceObject;
  ServiceCIDR: ServiceCidrObject;
  Node: NodeObject;
}

export type Kind = keyof ObjectOf;

export const KINDS: readonly Kind[] = ["Service", "EndpointSlice", "ServiceCIDR", "Node"];

/** Takes what a source sees. Calls are synchronous and cheap: programming happens later. */
export interface Sink {
  /** An object is there or has changed. `key` is `namespace/name`, or `name` where the kind has no namespaces. */
  set<K extends Kind>(kind: K, key: string, object: ObjectOf[K]): void;
  /** An object is gone, or is none that a proxy programs (any more); one that was never there is fine. */
  delete(kind: Kind, key: string): void;
  /** What is there of a kind, so that a source that has read all anew can delete what it did not see. */
  keys(kind: Kind): Iterable<string>;
  /**
   * All that there is of a kind has been delivered at least once. A source that does not deliver a kind says so too,
   * at its start: nothing is programmed before all four are in.
   */
  synced(kind: Kind): void;
  /** An object that cannot be read. It is treated as absent, the others are not harmed. `reason` names the field. */
  malformed(kind: Kind, key: string, reason: string): void;
  /** Whether the source hears of changes at the moment; with a reason if not. For the log and for metrics. */
  connection(kind: Kind, state: "up" | "down", reason?: string): void;
}

export interface Source {
  /** Begins to deliver, and goes on in the background until {@link stop}. */
  start(sink: Sink): void;
  stop(): Promise<void>;
}
