/**
 * Runs random sequences, each from an empty host to an empty host, several hosts beside each other.
 *
 * @module
 */
import * as fc from "fast-check";
import { expect } from "vitest";
import { Machine } from "./machine.ts";
import { Model } from "./model.ts";
import { NETWORKS } from "./networks.ts";
import { compare, steps } from "./steps.ts";

export interface Sequences {
  readonly count: number;
  readonly seed: number;
  /** Hosts at a time. */
  readonly hosts: number;
  /** Steps of a sequence, at most. */
  readonly length: number;
}

/** @throws Error with the first sequence that went wrong, and the seed that makes it again. */
export async function runSequences({ count, seed, hosts, length }: Sequences): Promise<void> {
  const shares = Array.from({ length: hosts }, (_, index) => Math.ceil((count - index) / hosts));
  await Promise.all(shares.map((share, index) => runOnOneHost(share, seed + index, length)));
}

async function runOnOneHost(count: number, seed: number, length: number): Promise<void> {
  await using machine = await Machine.create();
  // The bridges stay.
  for (const { name: network } of NETWORKS) {
    const key = { network, container: "c1", ifname: "eth0" };
    await machine.add(key, undefined);
    await machine.del(key, undefined);
  }
  const before = await emptied(machine, new Model());
  const sequence = fc.asyncProperty(fc.commands(steps(), { maxCommands: length }), async (commands) => {
    const model = new Model();
    await fc.asyncModelRun(() => ({ model, real: machine }), commands);
    expect(await emptied(machine, model)).toBe(before);
  });
  // A host that a failed sequence left in disorder tells nothing of a shorter one.
  await fc.assert(sequence, { numRuns: count, seed, endOnFailure: true, verbose: true });
}

/** By GC with nothing valid: all that the sequence left standing goes. What the host then looks like. */
async function emptied(machine: Machine, model: Model): Promise<string> {
  for (const { name } of NETWORKS) await machine.gc(name, []);
  for (const one of model.all) model.remove(one);
  await compare(model, machine);
  return machine.snapshot();
}
