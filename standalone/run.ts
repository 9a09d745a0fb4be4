/**
 * `run`: one container by command, beside all that files made.
 *
 * In the background it is as one of a file. In the foreground its command has our streams or our terminal, and we
 * stay until it has ended: signals that we get are for it, and its exit code is ours.
 *
 * @module
 */
import { constants } from "node:os";
import type { Runtime } from "../lib/runtime/runtime.ts";
import { netnsNames } from "../lib/sys/netns.ts";
import {
  bootId,
  catchesSignal,
  identify,
  ignoresSignal,
  isInForeground,
  type ProcessIdentity,
  sendSignal,
} from "../lib/sys/process.ts";
import { useUsualUmask } from "../lib/sys/spawn.ts";
import { addContainer } from "./add.ts";
import { openRuntime } from "./attach.ts";
import { checkStart } from "./container/prepare.ts";
import { checkProgram } from "./container/program.ts";
import { findPrograms, type Started } from "./container/start.ts";
import { isRunning } from "./container/stop.ts";
import type { ContainerSpec } from "./file/project.ts";
import { guardForwarding } from "./forwarding.ts";
import { ensureHelper } from "./helper/client.ts";
import { readFacts } from "./host/facts.ts";
import { acceptForwarding, addNetworks } from "./network.ts";
import { nameFor, planRun, type RunPlan } from "./plan/run.ts";
import type { Situation } from "./plan/situation.ts";
import { dropUnused, removeEnded } from "./remove.ts";
import type { ContainerRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";
import { sweepStrays } from "./strays.ts";
import { Turnstile } from "./turnstile.ts";
import { familiesOf } from "./up.ts";

export interface RunOptions {
  /** undefined: one is made of the command's. */
  readonly name: string | undefined;
  readonly command: readonly string[];
  /** The container, once its name is known. Called before anything is changed. */
  readonly specOf: (name: string) => ContainerSpec;
  /** Whether it is removed when its command has ended. */
  readonly autoRemove: boolean;
}

/** Starts a container in the background and returns its record. @throws TsnetError as {@link planRun}. */
export async function runDetached(options: RunOptions, state: State): Promise<ContainerRecord> {
  const { record } = await start(options, state);
  return record;
}

/**
 * Starts a container with our streams and returns its exit code once it has ended: that of its command, or 128 and
 * the number of the signal that ended it.
 */
export async function runAttached(options: RunOptions & { readonly terminal: boolean }, state: State): Promise<number> {
  const signals = new Signals();
  const streams = {
    terminal: options.terminal,
    signalled: (pid: number, signal: NodeJS.Signals) => signals.passOn(pid, signal),
    interrupted: () => signals.interrupted(),
  };
  const { record, exited } = await start(options, state, { streams, note: (known) => signals.watch(known) });
  const code = await exited;
  const exitCode = signals.exitCode ?? code;
  await removeEnded(record, { state, exitCode, remove: options.autoRemove });
  return exitCode;
}

type Attaching = Pick<Parameters<typeof addContainer>[1], "streams" | "note">;

async function start(options: RunOptions, state: State, attaching: Attaching = {}): Promise<Started> {
  useUsualUmask();
  const lock = state.lock();
  try {
    await sweepStrays(state);
    const now = look(state);
    const plan = planRun(options.specOf(options.name ?? nameFor(options.command, now)), now);
    findPrograms();
    checkStart(plan.container.name, plan.container.start);
    checkProgram(plan.container.name, plan.container.start);
    const runtime = openRuntime(state.directory);
    await ensureHelper(state);
    const container = options.autoRemove ? { ...plan.container, autoRemove: true } : plan.container;
    try {
      return await make({ ...plan, container }, { state, runtime, now, attaching });
    } catch (error) {
      await dropUnused(state);
      throw error;
    }
  } finally {
    lock.release();
  }
}

interface Making {
  readonly state: State;
  readonly runtime: Runtime;
  readonly now: Situation;
  readonly attaching: Attaching;
}

async function make({ add, container }: RunPlan, { state, runtime, now, attaching }: Making): Promise<Started> {
  const used = new Set(container.attachments.map(({ network }) => network));
  const asleep = state.dormantNetworks().filter(({ id }) => used.has(id));
  await addNetworks(state, [...asleep, ...(add === undefined ? [] : [add])]);
  await guardForwarding(state, familiesOf(state.networks()), now.facts.routedLinks);
  const started = await addContainer(container, { state, runtime, turnstile: new Turnstile(), ...attaching });
  for (const network of state.networks()) if (used.has(network.id)) await acceptForwarding(network);
  return started;
}

/** How things stand, as far as one more container must know it: none of the others is looked after. */
function look(state: State): Situation {
  const networks = state.networks();
  return {
    networks,
    containers: state.containers().map((record) => ({ record, alive: isRunning(record) })),
    facts: readFacts(new Set()),
    netnsNames: netnsNames(),
    bootId: bootId(),
  };
}

/**
 * Signals for a command that is the first process of its pid namespace, which the kernel keeps from it unless it has
 * a handler. What would have ended it anywhere else ends it here, too.
 */
class Signals {
  #first: ProcessIdentity | undefined;
  #runs = false;
  /** 128 and the number of the signal that we ended it for. */
  exitCode: number | undefined;

  watch({ process, phase }: ContainerRecord): void {
    this.#first = process;
    this.#runs = phase === "running";
  }

  passOn(chain: number, signal: NodeJS.Signals): void {
    const first = this.#first;
    if (first === undefined || !this.#runs) this.#end(first ?? identify(chain), signal);
    else if (catchesSignal(first.pid, signal)) sendSignal(first, signal);
    else if (!ignoresSignal(first.pid, signal)) this.#end(first, signal);
  }

  /** The terminal has sent SIGINT to those in its foreground. */
  interrupted(): void {
    const first = this.#first;
    if (first === undefined || !isInForeground(first.pid)) return;
    if (!catchesSignal(first.pid, "SIGINT") && !ignoresSignal(first.pid, "SIGINT")) this.#end(first, "SIGINT");
  }

  #end(target: ProcessIdentity | undefined, signal: NodeJS.Signals): void {
    if (target === undefined || !sendSignal(target, "SIGKILL")) return;
    this.exitCode = 128 + constants.signals[signal];
  }
}
