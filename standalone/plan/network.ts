/**
 * Which networks there shall be, on which bridges, with which addresses.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, parseCidr } from "../../lib/net/cidr.ts";
import { gatewayOn } from "../file/network.ts";
import {
  COMMAND_PROJECT,
  DEFAULT_NETWORK,
  type NetworkRoute,
  type NetworkSpec,
  type Project,
} from "../file/project.ts";
import { EVERYBODY } from "../isolation/walls.ts";
import type { NetworkRecord } from "../state/records.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { bridgeNames, idOf } from "./names.ts";
import type { Situation } from "./situation.ts";
import { chooseIpv6Subnet, chooseSubnet, conflictOf, describeTaken, type Taken } from "./subnet.ts";

/** The networks of a project, by the names that its file gives them. */
export interface NetworkPlan {
  readonly byName: ReadonlyMap<string, NetworkRecord>;
  readonly add: readonly NetworkRecord[];
  readonly remove: readonly NetworkRecord[];
}

/** @throws TsnetError `conflict` for a subnet or bridge that somebody has; `not-found` for an external network. */
export function planNetworks(project: Project, now: Situation): NetworkPlan {
  const byName = new Map<string, NetworkRecord>();
  const add: NetworkRecord[] = [];
  for (const spec of usedNetworks(project)) {
    const kept =
      spec.external === undefined ? keptNetwork(project, spec, now) : externalNetwork(spec.external, spec.name, now);
    const record = kept ?? newNetwork(project, spec, { now, planned: [...byName.values()] });
    if (kept === undefined) add.push(record);
    byName.set(spec.name, record);
  }
  const stays = new Set([...byName.values()].map(({ id }) => id));
  const remove = now.networks.filter(
    (there) => there.project === project.name && (!stays.has(there.id) || add.some(({ id }) => id === there.id)),
  );
  for (const network of remove) checkUnused(network, now);
  return { byName, add, remove };
}

/** Networks that stay as they are, but for who gets in. */
export function openedAnew({ byName, add }: NetworkPlan, now: Situation): readonly NetworkRecord[] {
  return [...byName.values()].filter((network) => {
    const there = now.networks.find(({ id }) => id === network.id);
    return there !== undefined && !add.includes(network) && String(there.open ?? []) !== String(network.open ?? []);
  });
}

/** Networks that a container is on: no other is made. Those with a subnet of their own choice come first. */
function usedNetworks(project: Project): readonly NetworkSpec[] {
  const modes = [...project.containers.values()].map(({ network }) => network);
  const names = new Set(
    modes.flatMap((mode) => (mode.kind === "bridge" ? mode.joins.map(({ network }) => network) : [])),
  );
  const specs = [...names].map((name) => project.networks.get(name) ?? defaultNetwork(name));
  return specs.toSorted((a, b) => Number(a.subnet === undefined) - Number(b.subnet === undefined));
}

function defaultNetwork(name = DEFAULT_NETWORK): NetworkSpec {
  return { name, gateways: [], masquerade: true, options: {} };
}

/** The network as it is, if the file still says the same of it: with the subnet that was chosen then. */
function keptNetwork(project: Project, spec: NetworkSpec, now: Situation): NetworkRecord | undefined {
  const there = now.networks.find(({ id }) => id === idOf(project.name, spec.name));
  if (there?.fingerprint !== fingerprintOf(fixedPart(spec))) return undefined;
  const { open: _, ...rest } = there;
  return { ...rest, ...openingsOf(project, spec) };
}

function externalNetwork(id: string, name: string, now: Situation): NetworkRecord {
  const there = now.networks.find((network) => network.id === id);
  if (there !== undefined) return there;
  const all = now.networks.map((network) => network.id).join(", ");
  const others = all === "" ? "no network is" : `there are ${all}`;
  const create = id === idOf(COMMAND_PROJECT, name) ? `; make it by: tsnet network create ${name}` : "";
  throw new TsnetError(`external network ${id} (${name}) is not up: ${others}${create}`, {
    code: "not-found",
    op: "plan",
  });
}

/** A file, or what stands for one. */
type NamedProject = Pick<Project, "name"> & Partial<Pick<Project, "networks">>;

/** What a new network needs to know of the host. */
type Surroundings = Pick<Situation, "networks" | "facts">;

/** @throws TsnetError `conflict` for a subnet or bridge that somebody has. */
export function newNetwork(
  project: NamedProject,
  spec: NetworkSpec,
  { now, planned }: { readonly now: Surroundings; readonly planned: readonly NetworkRecord[] },
): NetworkRecord {
  const id = idOf(project.name, spec.name);
  const others = [...now.networks.filter((there) => there.project !== project.name), ...planned];
  const taken = [...now.facts.taken, ...others.flatMap(takenByNetwork)];
  if (spec.subnet !== undefined) checkSubnet(spec.name, spec.subnet, taken);
  if (spec.ipv6 !== undefined && spec.ipv6 !== "auto") checkSubnet(spec.name, spec.ipv6, taken);
  const subnets = [
    spec.subnet ?? chooseSubnet(taken),
    ...(spec.ipv6 === undefined ? [] : [spec.ipv6 === "auto" ? chooseIpv6Subnet(id, taken) : spec.ipv6]),
  ];
  const mtu = spec.mtu ?? now.facts.mtu;
  return {
    id,
    project: project.name,
    name: spec.name,
    ...chooseBridge(project, spec, { now, planned }),
    subnets: subnets.map(formatCidr),
    gateways: subnets.map((subnet) => formatAddress(gatewayOn(subnet, spec.gateways))),
    ...(mtu === undefined ? {} : { mtu }),
    masquerade: spec.masquerade && spec.internal !== true,
    options: spec.options,
    ...(spec.internal === undefined ? {} : { internal: true }),
    ...openingsOf(project, spec),
    ...(spec.range === undefined ? {} : { range: formatCidr(spec.range) }),
    ...(spec.routes === undefined ? {} : { routes: spec.routes.map(routeRecord) }),
    ...(spec.labels === undefined ? {} : { labels: spec.labels }),
    fingerprint: fingerprintOf(fixedPart(spec)),
  };
}

/** What cannot be changed under its containers: all but who gets in. */
function fixedPart({ open: _, ...fixed }: NetworkSpec): object {
  return fixed;
}

/** The networks that it is open to, by their ids. */
function openingsOf(project: NamedProject, { open }: NetworkSpec): Pick<NetworkRecord, "open"> {
  if (open === undefined) return {};
  const idOfName = (name: string) => project.networks?.get(name)?.external ?? idOf(project.name, name);
  return { open: open.map((name) => (name === EVERYBODY || name.includes(".") ? name : idOfName(name))) };
}

function checkSubnet(name: string, subnet: Cidr, taken: readonly Taken[]): void {
  const other = conflictOf(subnet, taken);
  if (other === undefined) return;
  throw conflict(
    `network ${name}: the host has subnet ${formatCidr(subnet)} already: ${describeTaken(other)}; choose another, or none to have one chosen`,
  );
}

/** A bridge that the file names is taken as it is if it is there; one that we name is made. */
function chooseBridge(
  project: Pick<Project, "name">,
  spec: NetworkSpec,
  { now, planned }: { readonly now: Surroundings; readonly planned: readonly NetworkRecord[] },
): Pick<NetworkRecord, "bridge" | "ownsBridge"> {
  const { links } = now.facts;
  const before = now.networks.find(({ id }) => id === idOf(project.name, spec.name));
  const owned = new Set(
    now.networks.filter((there) => there.project === project.name && there.ownsBridge).map(({ bridge }) => bridge),
  );
  const user = (name: string) =>
    [...now.networks.filter((there) => there.project !== project.name), ...planned].find(
      ({ bridge }) => bridge === name,
    );
  if (spec.bridge === undefined) {
    const free = bridgeNames(project.name, spec.name).find(
      (name) => user(name) === undefined && (!links.has(name) || owned.has(name)),
    );
    if (free !== undefined) return { bridge: free, ownsBridge: true };
    throw conflict(
      `network ${spec.name}: links ${bridgeNames(project.name, spec.name).join(" and ")} are there already: give the network a bridge in the file`,
    );
  }
  const other = user(spec.bridge);
  if (other !== undefined)
    throw conflict(`network ${spec.name}: bridge ${spec.bridge} is that of network ${other.id}: choose another`);
  const kind = links.get(spec.bridge);
  if (links.has(spec.bridge) && kind !== "bridge")
    throw conflict(
      `network ${spec.name}: ${spec.bridge} is there already and is no bridge (${kind ?? "hardware"}): choose another`,
    );
  return {
    bridge: spec.bridge,
    ownsBridge:
      !links.has(spec.bridge) || (before?.bridge === spec.bridge && before.ownsBridge) || owned.has(spec.bridge),
  };
}

/** Another project may have joined a network that is to go. */
function checkUnused(network: NetworkRecord, now: Situation): void {
  const user = now.containers.find(
    ({ record }) => record.project !== network.project && record.attachments.some((one) => one.network === network.id),
  );
  if (user !== undefined) throw conflict(inUse(network, user.record.id));
}

/** Why a network cannot go. */
export function inUse(network: NetworkRecord, user: string): string {
  return `network ${network.id} is used by container ${user} of another project: take that down first`;
}

function routeRecord({ dst, via }: NetworkRoute): { readonly dst: string; readonly via?: string } {
  return { dst: formatCidr(dst), ...(via === undefined ? {} : { via: formatAddress(via) }) };
}

function takenByNetwork(network: NetworkRecord): readonly Taken[] {
  return network.subnets.map((subnet) => ({ cidr: parseCidr(subnet), what: `network ${network.id}`, yields: false }));
}

function conflict(message: string): TsnetError {
  return new TsnetError(message, { code: "conflict", op: "plan" });
}
