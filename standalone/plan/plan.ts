/**
 * What `up` has to do: what the file wants, less what is there. Pure, so that whatever stands in the way is found
 * before anything is changed.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import type { ContainerSpec, Project } from "../file/project.ts";
import type { ContainerRecord, NetworkRecord } from "../state/records.ts";
import { choosePorts } from "./choose.ts";
import { planContainer } from "./container.ts";
import { openedAnew, planNetworks } from "./network.ts";
import { checkPorts } from "./ports.ts";
import type { ContainerNow, Situation } from "./situation.ts";

/** Steps in the order in which they are taken; what is in none of them is as it should be. */
export interface Plan {
  readonly removeContainers: readonly ContainerRecord[];
  readonly removeNetworks: readonly NetworkRecord[];
  readonly addNetworks: readonly NetworkRecord[];
  /** Stay, and let in others than before. */
  readonly openNetworks: readonly NetworkRecord[];
  /** Run on, and are put on their networks anew. */
  readonly repair: readonly ContainerRecord[];
  readonly addContainers: readonly ContainerRecord[];
  /** Containers that nothing is done with. */
  readonly keep: readonly ContainerRecord[];
}

/**
 * @throws TsnetError `conflict` naming what is in the way: a subnet, a port, a name that somebody has;
 *   `not-found` for an external network that is not there.
 */
export function planUp(project: Project, now: Situation): Plan {
  checkNames(project, now);
  const networks = planNetworks(project, now);
  const mine = now.containers.filter(({ record }) => record.project === project.name);
  const wanted = inOrder([...project.containers.values()]).map((spec) =>
    planContainer(project, spec, { networks, now }),
  );
  const kept = keepable(wanted, mine);
  const isKept = ({ name }: ContainerRecord) => kept.has(name);
  const keptRecords = mine.filter(({ record }) => isKept(record));
  const others = now.containers.filter(({ record }) => record.project !== project.name);
  const addContainers = choosePorts(
    wanted.filter((record) => !isKept(record)),
    {
      running: [...keptRecords, ...others].map(({ record }) => record),
      before: mine.map(({ record }) => record),
      facts: now.facts,
    },
  );
  checkFree(
    addContainers,
    [...keptRecords, ...others].map(({ record }) => record),
    now,
  );
  return {
    removeContainers: mine.map(({ record }) => record).filter((record) => !isKept(record)),
    removeNetworks: networks.remove,
    addNetworks: networks.add,
    openNetworks: openedAnew(networks, now),
    repair: keptRecords.filter(({ damage }) => damage !== undefined).map(({ record }) => record),
    addContainers,
    keep: keptRecords.filter(({ damage }) => damage === undefined).map(({ record }) => record),
  };
}

/**
 * Whether new containers can have their namespaces, ports and addresses beside those that stay.
 *
 * @throws TsnetError `conflict`.
 */
export function checkFree(
  wanted: readonly ContainerRecord[],
  staying: readonly ContainerRecord[],
  now: Pick<Situation, "containers" | "netnsNames" | "facts">,
): void {
  checkNetns(wanted, now);
  checkPorts(wanted, { running: staying, facts: now.facts });
  checkAddresses(wanted, staying);
}

/** Those whose network namespace is another's come after it. */
function inOrder(specs: readonly ContainerSpec[]): readonly ContainerSpec[] {
  return specs.toSorted((a, b) => Number(a.network.kind === "container") - Number(b.network.kind === "container"));
}

/** The names of containers that run as they are wanted, in a network namespace that stays. */
function keepable(wanted: readonly ContainerRecord[], mine: readonly ContainerNow[]): ReadonlySet<string> {
  const kept = new Set<string>();
  for (const { name, fingerprint, joins } of wanted) {
    const there = mine.find(({ record }) => record.name === name);
    const same = there?.alive === true && there.record.phase === "running" && there.record.fingerprint === fingerprint;
    if (same && (joins === undefined || kept.has(joins))) kept.add(name);
  }
  return kept;
}

function checkNames(project: Project, now: Situation): void {
  for (const name of project.containers.keys()) {
    const other = now.containers.find(({ record }) => record.name === name && record.project !== project.name);
    if (other === undefined) continue;
    throw conflict(
      `container ${name} is there already, of project ${other.record.project}: names are unique on a host; ` +
        `choose another, or take that project down (tsnet down --project ${other.record.project})`,
    );
  }
}

function checkNetns(wanted: readonly ContainerRecord[], now: Pick<Situation, "containers" | "netnsNames">): void {
  for (const { id, name, netns } of wanted) {
    const known = now.containers.some(({ record }) => record.name === name);
    if (known || !netns.endsWith(`/${id}`) || !now.netnsNames.includes(id)) continue;
    throw conflict(`network namespace ${id} is there already and not ours: ip netns delete ${id}`);
  }
}

/** A wanted address must not be one that a container which stays was given. */
function checkAddresses(wanted: readonly ContainerRecord[], staying: readonly ContainerRecord[]): void {
  for (const { name, attachments } of wanted) {
    for (const { network, capabilityArgs } of attachments) {
      const ips = Array.isArray(capabilityArgs.ips) ? capabilityArgs.ips.map(String) : [];
      const holder = staying.find((other) =>
        other.attachments.some(
          (there) =>
            there.network === network && there.addresses?.some((one) => ips.includes(one.replace(/\/\d+$/, ""))),
        ),
      );
      if (holder !== undefined)
        throw conflict(
          `address ${ips.join(", ")} of container ${name} is ${holder.name}'s: choose another, or restart ${holder.name}`,
        );
    }
  }
}

function conflict(message: string): TsnetError {
  return new TsnetError(message, { code: "conflict", op: "plan" });
}
