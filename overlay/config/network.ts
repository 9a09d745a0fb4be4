/**
 * The network that all hosts share, read from what flannel calls net-conf.json: a text in etcd, a file in a ConfigMap,
 * or a section of our own file.
 *
 *     { "Network": "10.244.0.0/16", "Backend": { "Type": "vxlan", "VNI": 1 } }
 *
 * Keys are read in any case, as Go reads them. Ours beside flannel's: `Backend.ChecksumOffload`, and `MTU` with
 * host-gw too. No backend at all means vxlan, where flannel takes udp, which is slow and deprecated there.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";
import type { Family } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, networkOf, overlaps, parseCidr } from "../../lib/net/cidr.ts";
import type { NetworkConfig, Parts, SubnetPool } from "../types.ts";
import { parseBackend } from "./backend.ts";
import { POOL_KEYS, parsePool } from "./pool.ts";
import { type Findings, isFields, Section } from "./section.ts";

export interface NetworkOptions {
  /** Told, a line each, of keys that nobody knows or that change nothing. */
  readonly warn?: (text: string) => void;
  /** Somebody else gives hosts their subnets: no pools are made, and what was said of them counts for nothing. */
  readonly assigned?: boolean;
}

/**
 * Reads `source`, JSON or what has been made of it. `at` names where it was found: `/coreos.com/network/config`.
 *
 * @throws TsnetError `decoding` for a text that is no JSON, `invalid` with a line for everything that is wrong.
 */
export function parseNetworkConfig(source: unknown, at: string, options: NetworkOptions = {}): NetworkConfig {
  const data = typeof source === "string" ? parseJson(source, at) : source;
  if (!isFields(data)) throw invalid(at, [`it is no object: wanted is {"Network": "10.244.0.0/16", ...}`]);
  const findings: Findings = { problems: [], warnings: [] };
  const section = new Section(data, { path: "", known: KEYS, findings });
  const networks = parseNetworks(section);
  const config: NetworkConfig = {
    networks,
    pools: options.assigned === true ? {} : parsePools(section, networks),
    backend: parseBackend(section.data("Backend"), { findings, overV6: networks[6] !== undefined }),
    nftables: section.flag("EnableNFTables"),
  };
  for (const text of findings.warnings) options.warn?.(`${at}: ${text}`);
  if (findings.problems.length > 0) throw invalid(at, findings.problems);
  return config;
}

const NETWORK_KEYS: Readonly<Record<Family, { readonly enable: string; readonly network: string }>> = {
  4: { enable: "EnableIPv4", network: "Network" },
  6: { enable: "EnableIPv6", network: "IPv6Network" },
};
const FAMILIES: readonly Family[] = [4, 6];
const KEYS = [
  ...FAMILIES.flatMap((family) => [
    NETWORK_KEYS[family].enable,
    NETWORK_KEYS[family].network,
    POOL_KEYS[family].length,
    POOL_KEYS[family].min,
    POOL_KEYS[family].max,
  ]),
  "EnableNFTables",
  "Backend",
];

/** What no container may have: loopback, link-local, multicast. */
const RESERVED = ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "::1/128", "fe80::/10", "ff00::/8"].map(parseCidr);

function parseNetworks(section: Section): Parts<Cidr> {
  const networks: { [F in Family]?: Cidr } = {};
  let enabled = 0;
  for (const family of FAMILIES) {
    const { enable, network: key } = NETWORK_KEYS[family];
    // IPv4 is on unless it is turned off, IPv6 off unless it is turned on.
    const on = section.flag(enable) ?? family === 4;
    if (!on && section.has(key)) section.warning(key, `there is no IPv${family} network: ${enable} is not true`);
    if (!on) continue;
    enabled++;
    const network = parseNetwork(section, key, family);
    if (network !== undefined) networks[family] = network;
  }
  if (enabled === 0) section.problem("EnableIPv4", "neither it nor EnableIPv6 is true: one is wanted");
  return networks;
}

function parseNetwork(section: Section, key: string, family: Family): Cidr | undefined {
  const example = family === 4 ? "10.244.0.0/16" : "fd00:244::/48";
  if (!section.has(key)) {
    section.problem(key, `it is missing: write a network for the containers, such as ${example}`);
    return undefined;
  }
  const network = section.parsed(key, `an IPv${family} network such as ${example}`, (text) => {
    const cidr = networkOf(parseCidr(text));
    return cidr.address.family === family && cidr.prefix > 0 ? cidr : undefined;
  });
  const reserved = network === undefined ? undefined : RESERVED.find((one) => overlaps(one, network));
  if (network !== undefined && reserved !== undefined) {
    section.problem(key, `${formatCidr(network)} overlaps ${formatCidr(reserved)}, which no container can have`);
  }
  return network;
}

function parsePools(section: Section, networks: Parts<Cidr>): Parts<SubnetPool> {
  const pools: { [F in Family]?: SubnetPool } = {};
  for (const family of FAMILIES) {
    const network = networks[family];
    const pool = network === undefined ? undefined : parsePool(section, network);
    if (pool !== undefined) pools[family] = pool;
  }
  return pools;
}

function parseJson(text: string, at: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TsnetError(`${at}: it is no JSON: ${messageOf(error)}`, { code: "decoding", op: "read network" });
  }
}

function invalid(at: string, problems: readonly string[]): TsnetError {
  const lines = problems.map((problem) => `${at}: ${problem}`).join("\n");
  return new TsnetError(lines, { code: "invalid", op: "read network" });
}
