/**
 * The file that lists all hosts, as text, into leases.
 *
 *     network: { Network: 10.244.0.0/16, Backend: { Type: vxlan } }
 *     hosts:
 *       - { name: a, address: 192.0.2.1, subnet: 10.244.1.0/24 }
 *       - { name: b, address: [192.0.2.2, "fd50::2"], subnet: [10.244.2.0/24, "fd00:244:2::/64"], mac: "0a:..." }
 *
 * YAML, or JSON, which is read ten times as fast where hosts are a thousand. A host that is wrong is left out by name;
 * only a file that is wrong as a whole is not used.
 *
 * @module
 */
import { LineCounter, parseDocument } from "yaml";
import { messageOf, TsnetError } from "../../lib/errors.ts";
import type { Address, Family } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, networkOf, parseCidr, sameCidr } from "../../lib/net/cidr.ts";
import { parseNetworkConfig } from "../config/network.ts";
import { type Findings, isFields, Section } from "../config/section.ts";
import { parseHostAddress } from "../lease/lease.ts";
import { derivedMac, parseVtepMac } from "../lease/mac.ts";
import type { Lease, LeasePart, NetworkConfig, Parts } from "../types.ts";

/** What a file says. */
export interface HostList {
  readonly network: NetworkConfig;
  readonly leases: readonly Lease[];
  /** Hosts that are wrong: a key, and why. */
  readonly malformed: readonly (readonly [key: string, reason: string])[];
}

export interface HostListOptions {
  /** Names the file in messages. */
  readonly path: string;
  /** Told of keys that nobody knows. */
  readonly warn: (text: string) => void;
}

/** @throws TsnetError `invalid` or `decoding` if nothing can be made of it as a whole. */
export function parseHostList(text: string, { path, warn }: HostListOptions): HostList {
  const findings: Findings = { problems: [], warnings: [] };
  const data = parseText(text, path);
  if (!isFields(data)) throw invalid(`${path}: wanted are the keys network and hosts`);
  const section = new Section(data, { path: "", known: ["network", "hosts"], findings });
  try {
    if (!section.has("network")) throw invalid(`${path}: network is missing: { Network: 10.244.0.0/16 } is the least`);
    const network = parseNetworkConfig(section.data("network"), `${path}: network`, { assigned: true, warn });
    // Half a file, or a key with a letter too few, must not take every peer away.
    if (!section.has("hosts")) throw invalid(`${path}: hosts is missing: [] says that there are none`);
    const hosts = section.data("hosts");
    if (!Array.isArray(hosts)) throw invalid(`${path}: hosts is no list`);
    return { network, ...parseHosts(hosts, network, findings) };
  } finally {
    for (const warning of findings.warnings) warn(`${path}: ${warning}`);
  }
}

function parseText(text: string, path: string): unknown {
  if (text.trimStart().startsWith("{")) {
    try {
      return JSON.parse(text);
    } catch {
      // YAML has such mappings too; if it is none either, YAML's complaint has a line.
    }
  }
  return parseYaml(text, path);
}

/** Not by the runtime's own reader, which is faster by far but takes the last of two keys that are the same. */
function parseYaml(text: string, path: string): unknown {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { version: "1.2", lineCounter, prettyErrors: false, stringKeys: true });
  const [error] = document.errors;
  if (error === undefined) return document.toJS();
  const { line, col } = lineCounter.linePos(error.pos[0]);
  throw new TsnetError(`${path}:${line}:${col}: ${error.message}`, { code: "decoding", op: "read hosts" });
}

function parseHosts(hosts: readonly unknown[], network: NetworkConfig, { warnings }: Findings) {
  const leases = new Map<string, Lease>();
  const malformed = new Map<string, string>();
  for (const [i, host] of hosts.entries()) {
    const name = nameIn(host);
    const key = name ?? `hosts[${i}]`;
    try {
      if (name === undefined) throw invalid("it has no name");
      if (leases.has(name) || malformed.has(name)) throw invalid("two hosts have this name");
      leases.set(name, parseHost(name, host, { network, findings: { problems: [], warnings } }));
    } catch (error) {
      leases.delete(key);
      malformed.set(key, messageOf(error));
    }
  }
  return { leases: [...leases.values()], malformed: [...malformed] };
}

function nameIn(host: unknown): string | undefined {
  const entry = isFields(host) ? Object.entries(host).find(([key]) => key.toLowerCase() === "name") : undefined;
  const name = entry?.[1];
  // YAML reads a host that is called 7 as a number.
  return typeof name === "string" || typeof name === "number" ? String(name) : undefined;
}

interface HostOptions {
  readonly network: NetworkConfig;
  readonly findings: Findings;
}

function parseHost(name: string, host: unknown, { network, findings }: HostOptions): Lease {
  const { backend } = network;
  const known = ["name", "address", "subnet", "mac"];
  const section = new Section(isFields(host) ? host : {}, { path: `hosts: ${name}: `, known, findings });
  const subnets = familyWise(textsOf(section, "subnet").map(parseSubnet), "subnet");
  const addresses = familyWise(textsOf(section, "address").map(parseUnderlay), "address");
  const first = subnets[4] ?? subnets[6];
  if (first === undefined) throw invalid("it has no subnet");
  const given = section.has("mac") ? parseVtepMac(String(section.data("mac"))) : undefined;
  const mac = backend.type === "vxlan" ? (given ?? derivedMac(backend.vni, first)) : undefined;
  const parts = { ...partOf(4, { subnets, addresses, mac }), ...partOf(6, { subnets, addresses, mac }) };
  const vni = backend.type === "vxlan" ? backend.vni : undefined;
  return { key: name, host: name, backend: backend.type, vni, parts };
}

interface Pieces {
  readonly subnets: Parts<Cidr>;
  readonly addresses: Parts<Address>;
  readonly mac: string | undefined;
}

function partOf(family: Family, { subnets, addresses, mac }: Pieces): Parts<LeasePart> {
  const [subnet, address] = [subnets[family], addresses[family]];
  if (subnet === undefined) return {};
  if (address === undefined) throw invalid(`it has ${formatCidr(subnet)} and no IPv${family} address to send that to`);
  return { [family]: { subnet, address, mac } };
}

/** One text, or a list of them. */
function textsOf(section: Section, key: string): readonly string[] {
  const value = section.data(key);
  const list: readonly unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return list.map((one) => {
    if (typeof one === "string") return one;
    throw invalid(`its ${key} has ${JSON.stringify(one)}, which is no text`);
  });
}

function parseSubnet(text: string): Cidr {
  const cidr = cidrOf(text);
  const network = networkOf(cidr);
  if (sameCidr(cidr, network)) return cidr;
  throw invalid(`its subnet ${text} has host bits: ${formatCidr(network)} is meant, or another`);
}

function cidrOf(text: string): Cidr {
  try {
    return parseCidr(text);
  } catch {
    throw invalid(`its subnet is ${text}, wanted is one such as 10.244.1.0/24`);
  }
}

function parseUnderlay(text: string): Address {
  return parseHostAddress(text, text.includes(":") ? 6 : 4, "its address");
}

function familyWise<T extends Address | Cidr>(values: readonly T[], what: string): Parts<T> {
  const parts: { [F in Family]?: T } = {};
  for (const value of values) {
    const { family } = "address" in value ? value.address : value;
    if (parts[family] !== undefined) throw invalid(`it has two IPv${family} ${what}${what === "subnet" ? "s" : "es"}`);
    parts[family] = value;
  }
  return parts;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "read hosts" });
}
