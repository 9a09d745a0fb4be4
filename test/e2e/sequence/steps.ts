/**
 * The steps of a random sequence: each does something to the real thing, says what the model makes of it, and compares
 * the two.
 *
 * @module
 */
import * as fc from "fast-check";
import { expect } from "vitest";
import type { Injection, Machine } from "./machine.ts";
import { CONTAINERS, IFNAMES, type Key, type Model, PORTS, textOf } from "./model.ts";
import { NETWORKS } from "./networks.ts";

type Step = fc.AsyncCommand<Model, Machine>;

// The kernel takes a namespace's links down a moment after the namespace.
const SETTLE_MS = 5000;
const CALLS = ["sendto", "openat", "link", "rename", "write", "unlink", "vfork", "execve"];

/** All the steps, for `fc.commands`. */
export function steps(): fc.Arbitrary<Step>[] {
  const network = fc.constantFrom(...NETWORKS.map(({ name }) => name));
  const container = fc.constantFrom(...CONTAINERS);
  const key: fc.Arbitrary<Key> = fc.record({ network, container, ifname: fc.constantFrom(...IFNAMES) });
  const port = fc.constantFrom(undefined, ...PORTS);
  const nth = fc.integer({ min: 1, max: 40 });
  const killing: fc.Arbitrary<Injection> = fc.record({
    plugin: fc.nat(1),
    call: fc.constantFrom(...CALLS),
    inject: nth.map((one) => ({ nth: one, effect: "signal=SIGKILL" })),
  });
  const repair = fc.constantFrom("DEL" as const, "GC" as const);
  const addition = fc.tuple(key, port).map((args) => add(...args));
  return [
    // More often than the others: where little stands, little happens.
    addition,
    addition,
    addition,
    fc.tuple(key, fc.integer({ min: 1, max: 2 })).map((args) => del(...args)),
    key.map(check),
    fc.tuple(network, fc.nat(63)).map((args) => gc(...args)),
    container.map(restart),
    fc.tuple(key, port, killing, repair).map((args) => killedAdd(...args)),
    fc.tuple(key, killing, repair).map((args) => killedDel(...args)),
  ];
}

/** Kernel and disk are as the model says. */
export async function compare(model: Model, machine: Machine): Promise<void> {
  const wanted = model.scene();
  for (const deadline = Date.now() + SETTLE_MS; Date.now() < deadline; await Bun.sleep(20)) {
    if (Bun.deepEquals(await machine.scene(), wanted)) return;
  }
  expect(await machine.scene()).toEqual(wanted);
}

function add(key: Key, port: number | undefined): Step {
  return step({
    text: `ADD ${textOf(key)}${port === undefined ? "" : ` -p ${port}`}`,
    when: (model) => isClear(model, key, port),
    async run(model, machine) {
      const refusal = model.refusal(key, port);
      const outcome = await machine.add(key, port).catch((error: Error) => error);
      if (refusal === undefined) {
        if (outcome instanceof Error) throw outcome;
        return model.add({ ...key, port, addresses: outcome });
      }
      expect(outcome, `it was to fail: ${refusal}`).toBeInstanceOf(Error);
      // A runtime calls DEL for the whole list after any plugin of it failed; here not for what stands already.
      if (refusal !== "taken") await machine.del(key, port);
    },
  });
}

function del(key: Key, times: number): Step {
  return step({
    text: `DEL ${textOf(key)} ${times} times`,
    async run(model, machine) {
      const port = model.get(key)?.port;
      for (let time = 0; time < times; time++) await machine.del(key, port);
      model.remove(key);
    },
  });
}

function check(key: Key): Step {
  return step({
    text: `CHECK ${textOf(key)}`,
    when: (model) => model.get(key) !== undefined,
    async run(model, machine) {
      const standing = model.get(key);
      expect(await machine.check(key, standing?.port)).toBe(standing?.isOrphan === false);
    },
  });
}

/** @param mask which of the network's attachments are valid, as bits. */
function gc(network: string, mask: number): Step {
  return step({
    text: `GC ${network} keeping ${mask.toString(2)}`,
    async run(model, machine) {
      const mine = model.all.filter((one) => one.network === network);
      const keep = mine.filter((_, index) => ((mask >> index) & 1) === 1);
      await machine.gc(network, keep);
      for (const one of mine) if (!keep.includes(one)) model.remove(one);
    },
  });
}

/** The container's namespace goes without a DEL, and another comes under its name. */
function restart(container: string): Step {
  return step({
    text: `restart ${container}`,
    async run(model, machine) {
      await machine.restart(container);
      model.orphan(container);
    },
  });
}

/** An ADD that is killed in the middle, and what makes good for it. */
function killedAdd(key: Key, port: number | undefined, killing: Injection, repair: "DEL" | "GC"): Step {
  return step({
    text: `ADD ${textOf(key)}${port === undefined ? "" : ` -p ${port}`} ${killed(killing)}, then ${repair}`,
    when: (model) => isClear(model, key, port) && model.refusal(key, port) === undefined,
    async run(model, machine) {
      await machine.add(key, port, killing).catch(() => {});
      await makeGood(repair, { model, machine, key, port });
    },
  });
}

function killedDel(key: Key, killing: Injection, repair: "DEL" | "GC"): Step {
  return step({
    text: `DEL ${textOf(key)} ${killed(killing)}, then ${repair}`,
    when: (model) => model.get(key) !== undefined,
    async run(model, machine) {
      const port = model.get(key)?.port;
      await machine.del(key, port, killing).catch(() => {});
      model.remove(key);
      await makeGood(repair, { model, machine, key, port });
    },
  });
}

/**
 * Whether there is one answer to an ADD. Two have tests of their own: over what a namespace left behind that went
 * without a DEL, and for a port that leads to the same container by another of its interfaces.
 */
function isClear(model: Readonly<Model>, key: Key, port: number | undefined): boolean {
  if (model.get(key)?.isOrphan === true) return false;
  return port === undefined || !model.all.some((one) => one.port === port && one.container === key.container);
}

interface Damage {
  readonly model: Model;
  readonly machine: Machine;
  readonly key: Key;
  readonly port: number | undefined;
}

async function makeGood(repair: "DEL" | "GC", { model, machine, key, port }: Damage): Promise<void> {
  if (repair === "DEL") return machine.del(key, port);
  const keep = model.all.filter(({ network }) => network === key.network);
  await machine.gc(key.network, keep);
}

function killed({ plugin, call, inject }: Injection): string {
  return `killed in plugin ${plugin} at ${call} ${inject?.nth}`;
}

interface StepSpec {
  readonly text: string;
  /** Whether it makes sense now; always unless given. */
  readonly when?: (model: Readonly<Model>) => boolean;
  readonly run: (model: Model, machine: Machine) => Promise<void>;
}

function step({ text, when = () => true, run }: StepSpec): Step {
  return {
    check: when,
    async run(model, machine) {
      await run(model, machine);
      await compare(model, machine);
    },
    toString: () => text,
  };
}
