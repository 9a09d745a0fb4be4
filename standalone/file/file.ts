/**
 * tsnet.yaml: from text to a {@link Project}, or to an error that names file, line and column of everything that is
 * wrong with it. Nothing outside the file is looked at: what the host has to say comes with the plan.
 *
 * @module
 */
import { basename, dirname, resolve } from "node:path";
import { TsnetError } from "../../lib/errors.ts";
import { type Address, formatAddress, sameAddress } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, overlaps } from "../../lib/net/cidr.ts";
import { readIfThere } from "../../lib/sys/files.ts";
import { readContainer } from "./container.ts";
import { isName, NAME_FORM, nameOfFolder } from "./names.ts";
import { gatewayOn, isUsable, readNetwork } from "./network.ts";
import { collide, formatHostPort } from "./ports.ts";
import {
  COMMAND_PROJECT,
  type ContainerSpec,
  DEFAULT_NETWORK,
  type Join,
  type NetworkSpec,
  type Project,
} from "./project.ts";
import { didYouMean, type Entry, Source, type Value } from "./yaml.ts";

/** What the file is called if nobody says otherwise. */
export const FILE_NAME = "tsnet.yaml";

/**
 * Reads the project of the file at `path`.
 *
 * @throws TsnetError `not-found` if there is none; `invalid` with a line for each mistake.
 */
export function loadProject(path: string): Project {
  return parseProject(readFile(path), path);
}

function readFile(path: string): string {
  const text = readIfThere(path);
  if (text !== undefined) return text;
  throw new TsnetError(`no ${path} here: write one (tsnet up --help shows how), or name another with -f`, {
    code: "not-found",
    op: "read file",
  });
}

/** The name of the project of the file at `path`, also if the rest of the file is wrong. @throws as {@link loadProject}. */
export function loadName(path: string): string {
  const source = new Source(readFile(path), path);
  const name = source.root.find("name")?.text(NAME_FORM);
  source.finish();
  return name ?? nameOfFolder(basename(dirname(resolve(path))));
}

/** Reads a project from `text`. Relative paths in it start at the folder of `path`. */
export function parseProject(text: string, path: string): Project {
  const source = new Source(text, path);
  // What cannot be read as YAML makes no sense further in.
  source.finish();
  const folder = dirname(resolve(path));
  const root = source.root;
  const fields = root.empty ? {} : root.fields(["name", "networks", "containers"]);
  const name = fields.name?.parsed(NAME_FORM, (given) => (isName(given) ? given : undefined));
  if ((name ?? nameOfFolder(basename(folder))) === COMMAND_PROJECT) {
    (fields.name ?? root).problem(
      `"${COMMAND_PROJECT}" is what commands make, such as tsnet run: give the file another name`,
    );
  }
  const networks = readNetworks(fields.networks);
  const containers = readContainers(fields.containers, folder);
  if (containers.size === 0 && fields.containers === undefined)
    root.problem("no containers: name one under the key containers");
  for (const check of [checkSubnets, checkOpenings, checkJoins, checkContainerModes, checkAddresses, checkPorts])
    check(networks, containers);
  source.finish();
  return {
    name: name ?? nameOfFolder(basename(folder)),
    path,
    networks: mapValues(networks, ({ spec }) => spec),
    containers: mapValues(containers, ({ spec }) => spec),
  };
}

/** A spec, and where to point if it clashes with another. */
interface Read<Spec> {
  readonly spec: Spec;
  readonly entry: Entry;
}

type Networks = ReadonlyMap<string, Read<NetworkSpec>>;
type Containers = ReadonlyMap<string, Read<ContainerSpec>>;

function readNetworks(section: Value | undefined): Networks {
  const networks = new Map<string, Read<NetworkSpec>>();
  for (const entry of section?.entries("a mapping of networks") ?? []) {
    const spec = readNetwork(entry);
    if (spec !== undefined) networks.set(entry.name, { spec, entry });
  }
  return networks;
}

function readContainers(section: Value | undefined, folder: string): Containers {
  const containers = new Map<string, Read<ContainerSpec>>();
  for (const entry of section?.entries("a mapping of containers") ?? []) {
    const spec = readContainer(entry, folder);
    if (spec !== undefined) containers.set(entry.name, { spec, entry });
  }
  return containers;
}

function checkSubnets(networks: Networks): void {
  const taken: { readonly subnet: Cidr; readonly who: string }[] = [];
  for (const { spec, entry } of networks.values()) {
    for (const key of ["subnet", "ipv6"] as const) {
      const subnet = spec[key];
      if (subnet === undefined || subnet === "auto") continue;
      const other = taken.find((one) => overlaps(one.subnet, subnet));
      if (other !== undefined)
        placeOf(entry, key).problem(
          `${formatCidr(subnet)} overlaps with ${formatCidr(other.subnet)} of network ${other.who}: choose another`,
        );
      taken.push({ subnet, who: spec.name });
    }
  }
}

function checkOpenings(networks: Networks): void {
  const known = [...networks.keys()];
  for (const { spec, entry } of networks.values()) {
    for (const other of spec.open ?? []) {
      const pointer = placeOf(entry, "open_to");
      if (other === spec.name) pointer.problem("a network is open to itself: name another");
      else if (isName(other) && other !== DEFAULT_NETWORK && !networks.has(other)) {
        pointer.problem(`unknown network "${other}"${didYouMean(other, known)}; there are ${known.join(", ")}`);
      }
    }
  }
}

function checkJoins(networks: Networks, containers: Containers): void {
  const known = [...networks.keys()];
  for (const { spec, entry } of containers.values()) {
    const seen = new Set<string>();
    for (const { network } of joinsOf(spec)) {
      const pointer = placeOf(entry, "networks");
      if (network !== DEFAULT_NETWORK && !networks.has(network)) {
        const allowed = known.length === 0 ? "there are none under the key networks" : `there are ${known.join(", ")}`;
        pointer.problem(`unknown network "${network}"${didYouMean(network, known)}; ${allowed}`);
      }
      if (seen.has(network)) pointer.problem(`network "${network}" is named twice`);
      seen.add(network);
    }
  }
}

function checkContainerModes(_: Networks, containers: Containers): void {
  for (const { spec, entry } of containers.values()) {
    if (spec.network.kind !== "container" || spec.network.container === "") continue;
    const known = [...containers.keys()].filter((name) => name !== spec.name);
    const { container } = spec.network;
    const other = containers.get(container)?.spec.network.kind;
    const pointer = placeOf(entry, "network");
    if (container === spec.name) pointer.problem("a container cannot be in its own network namespace: name another");
    else if (other === undefined)
      pointer.problem(
        `unknown container "${container}"${didYouMean(container, known)}; there ${known.length === 0 ? "is no other" : `are ${known.join(", ")}`}`,
      );
    else if (other === "host" || other === "container") {
      pointer.problem(
        `container "${container}" has no network namespace of its own (network: ${other}): name one that has`,
      );
    }
  }
}

function checkAddresses(networks: Networks, containers: Containers): void {
  const taken: { readonly network: string; readonly address: Address; readonly who: string }[] = [];
  for (const { spec, entry } of containers.values()) {
    const pointer = placeOf(entry, "networks");
    for (const { network, addresses } of joinsOf(spec)) {
      if (new Set(addresses.map(({ family }) => family)).size < addresses.length) {
        pointer.problem("two addresses of one family: at most one IPv4 and one IPv6");
      }
      for (const address of addresses) {
        const text = `address ${formatAddress(address)} of network ${network}`;
        const wrong = whyNot(address, networks.get(network)?.spec);
        if (wrong !== undefined) pointer.problem(`${text} ${wrong}`);
        const other = taken.find((one) => one.network === network && sameAddress(one.address, address));
        if (other !== undefined) pointer.problem(`${text} is wanted by ${other.who}, too`);
        taken.push({ network, address, who: spec.name });
      }
    }
  }
}

/** Why a container cannot have the address, or undefined if it can. */
function whyNot(address: Address, network: NetworkSpec | undefined): string | undefined {
  if (network?.external !== undefined) return undefined;
  const subnet = address.family === 4 ? network?.subnet : network?.ipv6;
  if (subnet === undefined || subnet === "auto") {
    return `needs ${address.family === 4 ? "a subnet" : "an IPv6 subnet"} that the file names`;
  }
  if (!isUsable(subnet, address)) return `is not one of its subnet ${formatCidr(subnet)}`;
  return sameAddress(gatewayOn(subnet, network?.gateways ?? []), address) ? "is its gateway" : undefined;
}

function checkPorts(_: Networks, containers: Containers): void {
  const all = [...containers.values()];
  for (const [at, { spec, entry }] of all.entries()) {
    for (const port of spec.ports) {
      const other = all.slice(0, at).find((before) => before.spec.ports.some((taken) => collide(port, taken)));
      if (other !== undefined)
        placeOf(entry, "ports").problem(`host port ${formatHostPort(port)} is published by ${other.spec.name}, too`);
    }
  }
}

/** The value of `key` in a container's mapping, to point at; the container itself where it has none. */
function placeOf(entry: Entry, key: string): Value {
  return entry.value.find(key) ?? entry.key;
}

function joinsOf(spec: ContainerSpec): readonly Join[] {
  return spec.network.kind === "bridge" ? spec.network.joins : [];
}

function mapValues<From, To>(map: ReadonlyMap<string, From>, change: (value: From) => To): ReadonlyMap<string, To> {
  return new Map([...map].map(([key, value]) => [key, change(value)]));
}
