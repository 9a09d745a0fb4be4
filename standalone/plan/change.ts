/**
 * What differs between a container that runs and what the file wants of it, and whether it can be changed while it
 * runs: its networks, addresses, aliases and ports can; how its command is started cannot.
 *
 * @module
 */
import { formatPort, formatPorts } from "../file/ports.ts";
import type { AttachmentRecord, ContainerRecord, PortRecord } from "../state/records.ts";
import { toPort } from "./ports.ts";

/** A container that runs on, changed. */
export interface Change {
  /** As it is. */
  readonly from: ContainerRecord;
  /** As it is wanted: the interfaces that stay with the addresses that they have. */
  readonly to: ContainerRecord;
  /** Interfaces that go, or are made anew. */
  readonly leave: readonly AttachmentRecord[];
  /** Interfaces that come, or are made anew. */
  readonly join: readonly AttachmentRecord[];
  /** The interface that stays and publishes other ports from now on. */
  readonly republish: AttachmentRecord | undefined;
  /** In words, for people: `joins back`, `publishes 8080->80/tcp`. */
  readonly what: readonly string[];
}

/** Why a container cannot become what is wanted while it runs; undefined if it can. */
export function whyNot(from: ContainerRecord, to: ContainerRecord): string | undefined {
  const mode = ({ network, joins }: ContainerRecord) => (joins === undefined ? network : `container:${joins}`);
  if (mode(from) !== mode(to)) return `its network is ${mode(to)} now, and was ${mode(from)}`;
  const keys = [...new Set([...Object.keys(from.start), ...Object.keys(to.start)])] as (keyof typeof to.start)[];
  const changed = keys.filter((key) => !same(from.start[key], to.start[key])).map((key) => KEYS[key] ?? key);
  return changed.length === 0 ? undefined : `its ${words(changed)} ${changed.length === 1 ? "has" : "have"} changed`;
}

/** Keys of a record that the file calls otherwise. */
const KEYS: Readonly<Record<string, string>> = {
  shares: "list of shared namespaces",
  dnsSearch: "dns_search",
  extraHosts: "extra_hosts",
};

/** The change from one to the other. With `damaged`, all its interfaces are made anew. */
export function planChange(from: ContainerRecord, wanted: ContainerRecord, damaged: boolean): Change {
  const stays = (one: AttachmentRecord) =>
    damaged ? undefined : from.attachments.find((there) => there.addresses !== undefined && sameLink(there, one));
  const attachments = wanted.attachments.map((one): AttachmentRecord => {
    const there = stays(one);
    if (there === undefined) return one;
    const { addresses = [], mac } = there;
    return { ...one, addresses, ...(mac === undefined ? {} : { mac }) };
  });
  const kept = new Set(wanted.attachments.flatMap((one) => stays(one) ?? []));
  const to = { ...from, attachments, ports: wanted.ports, fingerprint: wanted.fingerprint };
  return {
    from,
    to,
    leave: from.attachments.filter((one) => !kept.has(one)),
    join: attachments.filter(({ addresses }) => addresses === undefined),
    republish: attachments.find((one) => {
      const there = [...kept].find(({ ifname }) => ifname === one.ifname);
      return there !== undefined && !same(there.capabilityArgs.portMappings, one.capabilityArgs.portMappings);
    }),
    what: [...describeNetworks(from, wanted, kept), ...describePorts(from.ports, wanted.ports)],
  };
}

/** Whether an interface can stay: all that differs is what it is called and what it publishes. */
function sameLink(there: AttachmentRecord, wanted: AttachmentRecord): boolean {
  const plain = ({ network, ifname, list, capabilityArgs: { portMappings: _, ...args } }: AttachmentRecord) => [
    network,
    ifname,
    list,
    args,
  ];
  return same(plain(there), plain(wanted));
}

function describeNetworks(
  from: ContainerRecord,
  to: ContainerRecord,
  kept: ReadonlySet<AttachmentRecord>,
): readonly string[] {
  const before = new Map(from.attachments.map((one) => [one.network, one]));
  const after = new Map(to.attachments.map((one) => [one.network, one]));
  const said = (verb: string, networks: readonly string[]) =>
    networks.length === 0 ? [] : [`${verb} ${words(networks.map((id) => nameIn(to, id)))}`];
  const both = [...after.values()].flatMap((one) => {
    const there = before.get(one.network);
    return there === undefined ? [] : [{ there, one }];
  });
  return [
    ...said(
      "leaves",
      [...before.keys()].filter((id) => !after.has(id)),
    ),
    ...said(
      "joins",
      [...after.keys()].filter((id) => !before.has(id)),
    ),
    ...said(
      "joins anew",
      both.filter(({ there }) => !kept.has(there)).map(({ one }) => one.network),
    ),
    ...both.flatMap(({ there, one }) =>
      same(there.aliases, one.aliases)
        ? []
        : [`is called ${one.aliases?.join(", ") ?? "nothing else"} on ${nameIn(to, one.network)}`],
    ),
  ];
}

function describePorts(before: readonly PortRecord[], after: readonly PortRecord[]): readonly string[] {
  const text = (port: PortRecord) => formatPort(toPort(port));
  const without = (ports: readonly PortRecord[], others: readonly PortRecord[]) => {
    const known = new Set(others.map(text));
    return formatPorts(ports.filter((port) => !known.has(text(port))).map(toPort));
  };
  const said = (verb: string, ports: readonly string[]) => (ports.length === 0 ? [] : [`${verb} ${ports.join(", ")}`]);
  return [...said("publishes", without(after, before)), ...said("no longer publishes", without(before, after))];
}

/** A network as the file calls it, if it is of the same project. */
function nameIn({ project }: ContainerRecord, id: string): string {
  return id.startsWith(`${project}.`) ? id.slice(project.length + 1) : id;
}

function words(all: readonly string[]): string {
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
}

/** Whether both print the same JSON, whatever the order of their keys. */
function same(one: unknown, other: unknown): boolean {
  return text(one) === text(other);
}

function text(value: unknown): string | undefined {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
