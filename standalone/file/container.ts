/**
 * The `containers` section: one entry into a {@link ContainerSpec}.
 *
 * @module
 */
import { isAbsolute, normalize, resolve } from "node:path";
import { parseAddress } from "../../lib/net/address.ts";
import { formatMac, parseMac } from "../../lib/net/mac.ts";
import { isName, NAME_FORM } from "./names.ts";
import { readAliases, readNaming } from "./naming.ts";
import { collide, formatHostPort, PORT_FORM, parsePorts, whyNotPorts } from "./ports.ts";
import {
  type ContainerSpec,
  DEFAULT_NETWORK,
  type Join,
  type MountSpec,
  type NetworkMode,
  type PublishedPort,
  SHAREABLE,
  type SharedNamespace,
} from "./project.ts";
import type { Entry, Value } from "./yaml.ts";

const KEYS = [
  "networks",
  "network",
  "ports",
  "command",
  "environment",
  "rootfs",
  "hostname",
  "workdir",
  "mounts",
  "privileged",
  "user",
  "dns",
  "dns_search",
  "extra_hosts",
  ...SHAREABLE,
] as const;
const MODES = "bridge, host, none or container:NAME";

type Fields = Partial<Record<(typeof KEYS)[number], Value>>;

/** Reads one container; undefined if it is not usable (which has been noted). `folder` is where relative paths start. */
export function readContainer({ name, key, value }: Entry, folder: string): ContainerSpec | undefined {
  if (!isName(name)) return key.problem(`"${name}" cannot be a container's name, allowed is ${NAME_FORM}`);
  const fields = value.empty ? {} : value.fields(KEYS);
  const network = readMode(fields);
  const rootfs = fields.rootfs?.text("a folder");
  const user = fields.user?.parsed("USER or USER:GROUP, by name or number", (text) =>
    /^[^:\s]+(:[^:\s]+)?$/.test(text) ? text : undefined,
  );
  const spec: ContainerSpec = {
    name,
    network,
    ports: fields.ports === undefined ? [] : readPorts(fields.ports, network),
    command: fields.command === undefined ? noCommand(key) : readCommand(fields.command),
    environment: fields.environment === undefined ? {} : readEnvironment(fields.environment),
    ...(rootfs === undefined ? {} : { rootfs: resolve(folder, rootfs) }),
    hostname:
      fields.hostname?.parsed("a host name", (text) =>
        /^[a-zA-Z0-9][a-zA-Z0-9.-]{0,63}$/.test(text) ? text : undefined,
      ) ?? name,
    workdir: fields.workdir?.parsed("an absolute path", absolute) ?? "/",
    mounts: fields.mounts === undefined ? [] : readMounts(fields.mounts, folder),
    privileged: fields.privileged?.boolean() ?? false,
    ...(user === undefined ? {} : { user }),
    ...readNaming(fields, network),
    shares: SHAREABLE.filter((which) => readShare(fields[which])),
  };
  checkShares(spec, fields);
  return spec;
}

function readMode(fields: Fields): NetworkMode {
  const mode = fields.network?.text(MODES) ?? "bridge";
  if (mode === "bridge") {
    const joins = fields.networks === undefined ? [] : readJoins(fields.networks);
    return { kind: "bridge", joins: joins.length > 0 ? joins : [{ network: DEFAULT_NETWORK, addresses: [] }] };
  }
  fields.networks?.problem(`goes with network: bridge (the default) alone, and this container has network: ${mode}`);
  if (mode === "host" || mode === "none") return { kind: mode };
  const container = /^container:(.+)$/.exec(mode)?.[1];
  if (container === undefined) fields.network?.wrong(`${MODES}; a network goes under networks: [NAME]`);
  return { kind: "container", container: container ?? "" };
}

function readJoins(value: Value): readonly Join[] {
  if (value.isMap) return value.entries("networks").map(readJoin);
  return value.list("a list of networks, or a mapping of network to address, mac and aliases").flatMap((one) => {
    const network = one.text("the name of a network");
    return network === undefined ? [] : [{ network, addresses: [] }];
  });
}

function readJoin({ name: network, value }: Entry): Join {
  if (value.empty) return { network, addresses: [] };
  const { address, mac, aliases } = value.fields(["address", "mac", "aliases"]);
  const addresses = address === undefined ? [] : address.isList ? address.list("addresses") : [address];
  const wantedMac = mac?.parsed("a unicast MAC address, such as 02:42:0a:58:01:14", (text) => {
    const bytes = parseMac(text);
    return ((bytes[0] ?? 0) & 1) === 0 ? formatMac(bytes) : undefined;
  });
  return {
    network,
    addresses: addresses.flatMap(
      (one) => one.parsed("an address, or a list of one IPv4 and one IPv6 address", parseAddress) ?? [],
    ),
    ...(wantedMac === undefined ? {} : { mac: wantedMac }),
    ...(aliases === undefined ? {} : { aliases: readAliases(aliases) }),
  };
}

function readPorts(value: Value, network: NetworkMode): readonly PublishedPort[] {
  if (network.kind !== "bridge") {
    const mode = network.kind === "container" ? `container:${network.container}` : network.kind;
    value.problem(`ports go with network: bridge alone, and this container has network: ${mode}`);
    return [];
  }
  const ports: PublishedPort[] = [];
  for (const one of value.list(`a list of ${PORT_FORM}`)) {
    const why = one.isText ? whyNotPorts(one.text(PORT_FORM) ?? "") : undefined;
    if (why !== undefined) one.problem(why);
    const parsed = why !== undefined ? [] : (one.parsed(PORT_FORM, parsePorts) ?? []);
    for (const port of parsed) {
      if (ports.some((other) => collide(port, other)))
        one.problem(`host port ${formatHostPort(port)} is published twice`);
      ports.push(port);
    }
  }
  return ports;
}

function noCommand(key: Value): readonly string[] {
  key.problem("no command; give one as a list, such as command: [sleep, infinity]");
  return [];
}

function readCommand(value: Value): readonly string[] {
  const line = value.isText ? value.text("") : undefined;
  const words = value.list(`a list of program and arguments, such as ${asList(line ?? "busybox httpd -f")}`);
  if (value.isList && words.length === 0) value.problem("an empty list: name a program");
  return words.map((word) => word.text("a string") ?? "");
}

/** A command line as the list that it would be; with a shell's signs in it, as a shell's. */
function asList(line: string): string {
  const words = /["'`$|&;<>()*?\\]/.test(line) ? ["sh", "-c", JSON.stringify(line)] : line.trim().split(/\s+/);
  return `[${words.map((word) => (/^[\w./-][\w./:=@+-]*$/.test(word) && !/^[\d.]+$/.test(word) ? word : quoted(word))).join(", ")}]`;
}

function quoted(word: string): string {
  return word.startsWith('"') ? word : JSON.stringify(word);
}

function readEnvironment(value: Value): Readonly<Record<string, string>> {
  if (value.isMap) {
    return Object.fromEntries(
      value.entries("variables").map(({ name, value: one }) => [name, one.empty ? "" : (one.text("a string") ?? "")]),
    );
  }
  const pairs = value.list("a mapping of variables, or a list of NAME=VALUE").flatMap((one) => {
    const pair = one.parsed("NAME=VALUE", (text) => /^([^=]+)=(.*)$/s.exec(text)?.slice(1));
    return pair === undefined ? [] : [[pair[0] ?? "", pair[1] ?? ""]];
  });
  return Object.fromEntries(pairs);
}

function readMounts(value: Value, folder: string): readonly MountSpec[] {
  const form = "HOST-PATH:PATH[:ro|rw], such as ./www:/srv/www:ro";
  return value.list(`a list of ${form}`).flatMap((one) => {
    const mount = one.parsed(form, (text): MountSpec | undefined => {
      const [, source = "", target = "", mode = "rw"] = /^([^:]+):(\/[^:]*)(?::(ro|rw))?$/.exec(text) ?? [];
      if (source === "" || target === "/") return undefined;
      return { source: resolve(folder, source), target: trimmed(target), readOnly: mode === "ro" };
    });
    return mount === undefined ? [] : [mount];
  });
}

function readShare(value: Value | undefined): boolean {
  if (value === undefined) return false;
  return (
    value.parsed("private (the default) or host", (text) => (/^(private|host)$/.test(text) ? text : undefined)) ===
    "host"
  );
}

/** On the host's mounts nothing can be hidden or made read-only, and the host's /proc shows the host's processes. */
function checkShares(spec: ContainerSpec, fields: Fields): void {
  if (!shares(spec, "mount")) return;
  if (!spec.privileged || !shares(spec, "pid"))
    fields.mount?.problem("host goes with privileged: true and pid: host alone");
  fields.rootfs?.problem("goes with a mount namespace of its own: leave out mount: host");
  fields.mounts?.problem("goes with a mount namespace of its own: leave out mount: host");
}

function shares(spec: ContainerSpec, which: SharedNamespace): boolean {
  return spec.shares.includes(which);
}

function absolute(text: string): string | undefined {
  return isAbsolute(text) ? trimmed(text) : undefined;
}

/** Without `..`, doubled slashes and one at the end. */
function trimmed(path: string): string {
  return normalize(path).replace(/(.)\/$/, "$1");
}
