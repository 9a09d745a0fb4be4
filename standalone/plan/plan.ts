/**
 * What `up` has to do: what the file wants, less what is there. Pure, so that whatever stands in the way is found
 * before anything is changed.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { COMMAND_PROJECT, type ContainerSpec, type Project } from "../file/project.ts";
import type { ContainerRecord, NetworkRecord } from "../state/records.ts";
import { type Change, planChange, whyNot } from "./change.ts";
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
  readonly repair: readonly Damaged[];
  /** Run on, with other networks or ports. */
  readonly change: readonly Change[];
  readonly addContainers: readonly ContainerRecord[];
  /** Why those of {@link addContainers} that were there are made anew, by name. */
  readonly reasons: ReadonlyMap<string, string>;
  /** Containers that nothing is done with. */
  readonly keep: readonly ContainerRecord[];
}

/** A container whose network is not as it was made. */
export interface Damaged {
  readonly record: ContainerRecord;
  readonly damage: string;
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
  const fates = fatesOf(wanted, mine);
  const fateOf = ({ name }: ContainerRecord) => fates.get(name)?.kind;
  const kept = mine.filter(({ record }) => fateOf(record) === "keep");
  const others = now.containers.filter(({ record }) => record.project !== project.name);
  const staying = [...kept, ...others].map(({ record }) => record);
  const anew = choosePorts(
    wanted.filter((record) => fateOf(record) !== "keep"),
    { running: staying, before: mine.map(({ record }) => record), facts: now.facts },
  );
  const change = anew.flatMap((record) => {
    const there = fateOf(record) === "change" ? mine.find((one) => one.record.name === record.name) : undefined;
    return there === undefined ? [] : [planChange(there.record, record, there.damage !== undefined)];
  });
  checkFree(anew, staying, now);
  checkAddresses(
    anew,
    change.map(({ to }) => to),
  );
  return {
    removeContainers: mine.map(({ record }) => record).filter((record) => !STAYS.has(fateOf(record) ?? "")),
    removeNetworks: networks.remove,
    addNetworks: networks.add,
    openNetworks: openedAnew(networks, now),
    repair: kept.flatMap(({ record, damage }) => (damage === undefined ? [] : [{ record, damage }])),
    change,
    addContainers: anew.filter((record) => fateOf(record) !== "change"),
    reasons: new Map([...fates].flatMap(([name, fate]) => (fate.kind === "again" ? [[name, fate.why] as const] : []))),
    keep: kept.filter(({ damage }) => damage === undefined).map(({ record }) => record),
  };
}

/** What becomes of a container of the file. */
type Fate =
  | { readonly kind: "new" }
  | { readonly kind: "again"; readonly why: string }
  | { readonly kind: "change" | "keep" };

const STAYS: ReadonlySet<string> = new Set(["change", "keep"]);

/** By name. Those whose network namespace is another's stay only if that one does. */
function fatesOf(wanted: readonly ContainerRecord[], mine: readonly ContainerNow[]): ReadonlyMap<string, Fate> {
  const fates = new Map<string, Fate>();
  for (const record of wanted) {
    const there = mine.find((one) => one.record.name === record.name);
    const owner = record.joins === undefined ? undefined : fates.get(record.joins);
    fates.set(record.name, fateOf(record, there, owner));
  }
  return fates;
}

function fateOf(wanted: ContainerRecord, there: ContainerNow | undefined, owner: Fate | undefined): Fate {
  if (there === undefined) return { kind: "new" };
  const { record, alive } = there;
  if (record.phase !== "running") return { kind: "again", why: "it was left half made" };
  if (!alive) return { kind: "again", why: "its command has ended" };
  if (owner !== undefined && !STAYS.has(owner.kind))
    return { kind: "again", why: `${wanted.joins}, whose network it is on, is made anew` };
  if (record.fingerprint === wanted.fingerprint) return { kind: "keep" };
  const why = whyNot(record, wanted);
  return why === undefined ? { kind: "change" } : { kind: "again", why };
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

function checkNames(project: Project, now: Situation): void {
  for (const name of project.containers.keys()) {
    const other = now.containers.find(({ record }) => record.name === name && record.project !== project.name);
    if (other === undefined) continue;
    const { project: owner } = other.record;
    throw conflict(
      owner === COMMAND_PROJECT
        ? `container ${name} is there already, made by command: names are unique on a host; choose another, or take it away (tsnet rm -f ${name})`
        : `container ${name} is there already, of project ${owner}: names are unique on a host; ` +
            `choose another, or take that project down (tsnet down --project ${owner})`,
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
      const holder = staying.find(
        (other) =>
          other.name !== name &&
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
