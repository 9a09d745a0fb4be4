/**
 * The keys of a container that are about names: whom it asks, and what it and others are called.
 *
 * @module
 */
import { type Address, formatAddress, parseAddress } from "../../lib/net/address.ts";
import type { ContainerSpec, NetworkMode } from "./project.ts";
import type { Value } from "./yaml.ts";

/** What stands for the host's address in `extra_hosts`, as Docker has it. */
export const HOST_GATEWAY = "host-gateway";

const HOST_NAME = "a host name: letters, digits, - and _, in parts of at most 63 divided by dots";
const RESOLVERS = "the address of a resolver, such as 192.168.1.1";
const EXTRA_HOST = `NAME:ADDRESS, where ADDRESS may be ${HOST_GATEWAY}`;

type Fields = Readonly<Partial<Record<"dns" | "dns_search" | "extra_hosts", Value>>>;

/** @param network the mode of the container: where it has no names of ours, `dns` goes to its resolv.conf. */
export function readNaming(
  { dns, dns_search: search, extra_hosts: extraHosts }: Fields,
  network: NetworkMode,
): Pick<ContainerSpec, "dns" | "dnsSearch" | "extraHosts"> {
  if (network.kind === "container") {
    for (const key of [dns, search]) key?.problem(`goes where its network is: at container ${network.container}`);
  }
  const domains = search === undefined ? undefined : listOf(search, "domains").flatMap(readDomain);
  return {
    dns: dns === undefined ? [] : listOf(dns, "addresses").flatMap((one) => readResolver(one, network)),
    ...(domains === undefined ? {} : { dnsSearch: domains }),
    extraHosts: extraHosts === undefined ? {} : readExtraHosts(extraHosts),
  };
}

/** More names of a container on a network. */
export function readAliases(value: Value): readonly string[] {
  const names = listOf(value, "names").flatMap((one) => one.parsed(HOST_NAME, parseHostName) ?? []);
  return [...new Set(names)];
}

/**
 * A name as it is written in queries; undefined if it is none. Underscores are no part of host names, but of the
 * names that people give to services.
 */
export function parseHostName(text: string): string | undefined {
  const parts = text.split(".");
  const good = text.length <= 253 && parts.every((part) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(part));
  return good ? text : undefined;
}

/** Whether an address is of the loopback, which inside a container is the container's own. */
function isLoopback({ family, value }: Address): boolean {
  return family === 4 ? value >> 24n === 127n : value === 1n;
}

function readResolver(value: Value, network: NetworkMode): readonly Address[] {
  const address = value.parsed(RESOLVERS, parseAddress);
  if (address === undefined) return [];
  if (network.kind === "bridge" && isLoopback(address)) {
    value.problem(
      `found ${formatAddress(address)}, which is the container itself: the host's resolvers are asked without this key, also those on its loopback`,
    );
    return [];
  }
  return [address];
}

/** `.` alone stands for no domain, as Docker has it. */
function readDomain(value: Value): readonly string[] {
  const domain = value.parsed(HOST_NAME, (text) => (text === "." ? text : parseHostName(text.replace(/\.$/, ""))));
  return domain === undefined || domain === "." ? [] : [domain];
}

function readExtraHosts(value: Value): Readonly<Record<string, string>> {
  const pairs = value.isMap
    ? value.entries("names").map(({ name, key, value: address }) => {
        if (parseHostName(name) === undefined) key.wrong(HOST_NAME);
        return [name, address.parsed(`an address or ${HOST_GATEWAY}`, parseTarget)] as const;
      })
    : value
        .list(`a mapping of names to addresses, or a list of ${EXTRA_HOST}`)
        .map((one) => one.parsed(EXTRA_HOST, parsePair) ?? (["", undefined] as const));
  return Object.fromEntries(pairs.flatMap(([name, address]) => (address === undefined ? [] : [[name, address]])));
}

/** `NAME:ADDRESS` or `NAME=ADDRESS`, which is easier to read with IPv6. */
function parsePair(text: string): readonly [string, string] | undefined {
  const [, name = "", address = ""] = /^([^:=]+)[:=](.+)$/.exec(text) ?? [];
  const target = parseTarget(address.replace(/^\[(.*)\]$/, "$1"));
  return parseHostName(name) === undefined || target === undefined ? undefined : [name, target];
}

/** @throws TsnetError for what is no address. */
function parseTarget(text: string): string | undefined {
  return text === HOST_GATEWAY ? text : formatAddress(parseAddress(text));
}

/** One value stands for a list of it. */
function listOf(value: Value, what: string): readonly Value[] {
  return value.isMap || value.isList ? value.list(`one of ${what} or a list`) : [value];
}
