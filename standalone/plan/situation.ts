/**
 * How things stand before a plan is made: what is running, and what the host has.
 *
 * @module
 */
import type { HostFacts } from "../host/facts.ts";
import type { ContainerRecord, NetworkRecord } from "../state/records.ts";

/** A container as it is. */
export interface ContainerNow {
  readonly record: ContainerRecord;
  readonly alive: boolean;
  /** What is wrong with its network though it runs: what CHECK said. */
  readonly damage?: string;
}

/** All that a plan is made from beside the file. */
export interface Situation {
  /** Of all projects. */
  readonly networks: readonly NetworkRecord[];
  /** Of all projects. */
  readonly containers: readonly ContainerNow[];
  readonly facts: HostFacts;
  /** Names in /run/netns. */
  readonly netnsNames: readonly string[];
  readonly bootId: string;
}
