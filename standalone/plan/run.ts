/**
 * What `run` has to make: one container beside all that there are, and its network if there is none yet.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { COMMAND_PROJECT, type ContainerSpec, DEFAULT_NETWORK, type NetworkSpec } from "../file/project.ts";
import { findNetwork } from "../networks/find.ts";
import type { ContainerRecord, NetworkRecord } from "../state/records.ts";
import { choosePorts } from "./choose.ts";
import { planContainer } from "./container.ts";
import { idOf } from "./names.ts";
import { newNetwork } from "./network.ts";
import { checkFree } from "./plan.ts";
import type { Situation } from "./situation.ts";

export interface RunPlan {
  /** The network that is made for it. */
  readonly add: NetworkRecord | undefined;
  readonly container: ContainerRecord;
}

/**
 * @throws TsnetError `conflict` naming what is in the way: a name, a port, an address that somebody has; `not-found`
 *   for a network or a container that is not there.
 */
export function planRun(spec: ContainerSpec, now: Situation): RunPlan {
  checkName(spec.name, now);
  const project = { name: COMMAND_PROJECT, path: "", networks: new Map(), containers: new Map([[spec.name, spec]]) };
  const { byName, add } = findNetworks(spec, now);
  const planned = planContainer(project, spec, { networks: { byName }, now });
  const placed = spec.network.kind === "container" ? inNetnsOf(spec.network.container, planned, now) : planned;
  const running = now.containers.map(({ record }) => record);
  const [container = placed] = choosePorts([placed], { running, before: [], facts: now.facts });
  checkFree([container], running, now);
  return { add, container };
}

/** A name for the container of a command: its program's, with a number if that is taken. */
export function nameFor(command: readonly string[], now: Situation): string {
  const program = (command[0] ?? "").replace(/^.*\//, "");
  const stem = program.replace(/[^a-zA-Z0-9_-]+/g, "-").replace(/^[-_]+|[-_]+$/g, "");
  const base = stem === "" ? "run" : stem.slice(0, 36);
  const taken = new Set([...now.containers.map(({ record }) => record.name), ...now.netnsNames.map(withoutProject)]);
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}

function withoutProject(id: string): string {
  return id.replace(/^[^.]*\./, "");
}

function checkName(name: string, { containers }: Situation): void {
  const other = containers.find(({ record }) => record.name === name);
  if (other === undefined) return;
  const way = other.alive ? `choose another --name, or take it away (tsnet rm -f ${name})` : `tsnet rm ${name}`;
  throw conflict(`container ${name} is there already, ${other.alive ? "and runs" : "and has ended"}: ${way}`);
}

function findNetworks(
  { network }: ContainerSpec,
  now: Situation,
): { readonly byName: ReadonlyMap<string, NetworkRecord>; readonly add: NetworkRecord | undefined } {
  const names = network.kind === "bridge" ? network.joins.map((join) => join.network) : [];
  const id = idOf(COMMAND_PROJECT, DEFAULT_NETWORK);
  const there = now.networks.find((one) => one.id === id);
  const add = names.includes(DEFAULT_NETWORK) && there === undefined ? newDefault(now) : undefined;
  const all = add === undefined ? now.networks : [...now.networks, add];
  return { byName: new Map(names.map((name) => [name, findNetwork(all, name)])), add };
}

function newDefault(now: Situation): NetworkRecord {
  const spec: NetworkSpec = { name: DEFAULT_NETWORK, gateways: [], masquerade: true, options: {} };
  // What commands made stays, other than the networks of a file, which its plan replaces.
  const planned = now.networks.filter(({ project }) => project === COMMAND_PROJECT);
  return newNetwork({ name: COMMAND_PROJECT }, spec, { now, planned });
}

/** In the network namespace of a container of whatever project. */
function inNetnsOf(name: string, planned: ContainerRecord, { containers }: Situation): ContainerRecord {
  const owner = containers.find(({ record }) => record.name === name);
  if (owner?.alive !== true) {
    const what = owner === undefined ? "is not there" : "does not run";
    throw new TsnetError(
      `--network container:${name}: container ${name} ${what}: tsnet ps -a shows those that there are`,
      {
        code: "not-found",
        op: "plan",
      },
    );
  }
  const { network, netns } = owner.record;
  if (network === "host" || network === "container")
    throw conflict(`--network container:${name}: it has no network namespace of its own (network ${network})`);
  return { ...planned, netns };
}

function conflict(message: string): TsnetError {
  return new TsnetError(message, { code: "conflict", op: "plan" });
}
