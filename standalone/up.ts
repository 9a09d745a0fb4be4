/**
 * `up`: what the file wants, made so.
 *
 * Everything that can be found wrong is found before the first change. Each container and network is noted before
 * it is made, so that `up` or `down` after a kill finishes the job. One container's failure takes that container
 * back and leaves the others.
 *
 * @module
 */
import { joinErrors } from "../lib/errors.ts";
import { surveyVariants } from "../lib/iptables/variant.ts";
import type { Family } from "../lib/net/address.ts";
import { parseCidr } from "../lib/net/cidr.ts";
import type { Runtime } from "../lib/runtime/runtime.ts";
import { useUsualUmask } from "../lib/sys/spawn.ts";
import { type Adding, addContainer } from "./add.ts";
import { closeRuntime, openRuntime, reconnect } from "./attach.ts";
import { join, leave } from "./change.ts";
import { checkStart } from "./container/prepare.ts";
import { findPrograms } from "./container/start.ts";
import { GRACE_SECONDS } from "./container/stop.ts";
import { removeContainers } from "./down.ts";
import type { Project } from "./file/project.ts";
import { guardForwarding } from "./forwarding.ts";
import { ensureHelper, settleHelper } from "./helper/client.ts";
import { endForbiddenFlows } from "./isolation/flows.ts";
import { isolate } from "./isolation/isolation.ts";
import { acceptForwarding, addNetworks, deleteNetworks } from "./network.ts";
import { restoreNetworks } from "./networks/restore.ts";
import { observe } from "./observe.ts";
import { type Plan, planUp } from "./plan/plan.ts";
import type { Situation } from "./plan/situation.ts";
import { type Step, stepsOf } from "./plan/steps.ts";
import type { Progress } from "./progress.ts";
import type { ContainerRecord, NetworkRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";
import { sweepStrays } from "./strays.ts";
import { Turnstile } from "./turnstile.ts";

/** What `up` had to do. */
export interface Raised {
  readonly steps: readonly Step[];
}

export interface UpOptions {
  /** Finds out what there is to do, and does nothing. */
  readonly dryRun?: boolean;
  readonly progress?: Progress;
}

/** How many containers are made at a time. */
const WORKERS = 8;

export async function up(project: Project, state: State, options: UpOptions = {}): Promise<Raised> {
  useUsualUmask();
  const lock = state.lock();
  try {
    if (options.dryRun !== true) {
      await sweepStrays(state);
      await restoreNetworks(state);
    }
    const runtime = openRuntime(state.directory);
    const now = await observe(project, state, runtime);
    const plan = planUp(project, now);
    checkAll(plan);
    if (options.dryRun !== true) {
      await ensureHelper(state);
      await apply(plan, { state, runtime, now, progress: options.progress ?? (() => {}) });
      // Also where nothing was to do: the helper may have been killed.
      await settleHelper(state);
    } else if (now.containers.length === 0) closeRuntime(state.directory);
    return { steps: stepsOf(plan) };
  } catch (error) {
    // What was begun for nothing goes with it.
    if (options.dryRun !== true && state.isEmpty()) await settleHelper(state);
    throw error;
  } finally {
    lock.release();
  }
}

/** What a plan cannot see and what must be right before anything is changed. */
function checkAll({ addContainers }: Plan): void {
  if (addContainers.length > 0) findPrograms();
  for (const { name, start } of addContainers) checkStart(name, start);
}

interface Applying {
  readonly state: State;
  readonly runtime: Runtime;
  readonly now: Situation;
  readonly progress: Progress;
}

async function apply(plan: Plan, { state, runtime, now, progress }: Applying): Promise<void> {
  const { holdRules } = await surveyVariants();
  const replaced = new Set(plan.removeNetworks.map(({ id }) => id));
  const [again, fresh] = partition(plan.addNetworks, ({ id }) => replaced.has(id));
  // A packet filter that is in the way shows here, before anything is taken down.
  for (const network of plan.openNetworks) state.putNetwork(network);
  await addNetworks(state, fresh);
  await removeContainers(plan.removeContainers, { state, runtime, graceSeconds: GRACE_SECONDS, progress });
  for (const change of plan.change) await leave(change, { state, runtime });
  await deleteNetworks(state, plan.removeNetworks);
  await addNetworks(state, again);
  // Whoever adds or removes a network sees to the walls of all.
  if (plan.addNetworks.length + plan.removeNetworks.length === 0) await isolate(state.networks());
  if (plan.openNetworks.length > 0) await endForbiddenFlows(state.networks());
  await guardForwarding(state, familiesOf(state.networks()), now.facts.routedLinks);
  // Rules and links that somebody took away are put back under the running containers.
  for (const { record } of plan.repair) state.putContainer(await reconnect(runtime, record));
  for (const change of plan.change) await join(change, { state, runtime });
  await addAll(plan.addContainers, { state, runtime, progress });
  // Where an accept has to stand depends on who holds rules, and the plugins may have been the first to write some.
  if (plan.repair.length === 0 && Bun.deepEquals((await surveyVariants()).holdRules, holdRules)) return;
  const containers = [
    ...plan.repair.map(({ record }) => record),
    ...plan.change.map(({ to }) => to),
    ...plan.addContainers,
  ];
  const touched = new Set(containers.flatMap(({ attachments }) => attachments.map(({ network }) => network)));
  for (const network of state.networks()) if (touched.has(network.id)) await acceptForwarding(network);
}

async function addAll(records: readonly ContainerRecord[], adding: Omit<Adding, "turnstile">): Promise<void> {
  const turnstile = new Turnstile();
  for (const { name } of records) adding.progress?.(name, "waits for its turn");
  for (const wave of wavesOf(records)) {
    await each(wave, async (record) => {
      await addContainer(record, { ...adding, turnstile });
    });
  }
}

/**
 * Those that want certain addresses come first, so that nobody is given them; those that live in the namespace of
 * another come last.
 */
function wavesOf(records: readonly ContainerRecord[]): readonly (readonly ContainerRecord[])[] {
  const [joined, own] = partition(records, ({ joins }) => joins !== undefined);
  const [choosy, rest] = partition(own, ({ attachments }) => attachments.some((one) => "ips" in one.capabilityArgs));
  return [choosy, rest, joined];
}

/** Does `work` with all of them, a few at a time; what failed is reported when all are done. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const errors: unknown[] = [];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      await work(item).catch((error: unknown) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
  if (errors.length > 0) throw joinErrors("up", errors);
}

/** The families of the addresses that networks have. */
export function familiesOf(networks: readonly NetworkRecord[]): readonly Family[] {
  const families = networks.flatMap(({ subnets }) => subnets.map((subnet) => parseCidr(subnet).address.family));
  return [...new Set(families)];
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
