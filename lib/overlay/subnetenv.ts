/**
 * subnet.env, by which an overlay's agent tells this host's part of the network: to CNI plugins, ours and flannel's,
 * and to whatever sources it as shell or reads it as an environment file. Keys and forms are flannel's.
 *
 * A comment names the boot that it was written in: no container outlives a reboot, and neither does a subnet until
 * the agent has it again. Where /run is no memory of its own, a file of an earlier boot is as good as none.
 *
 * @module
 */
import { messageOf, TsnetError } from "../errors.ts";
import type { Family } from "../net/address.ts";
import { type Cidr, contains, firstOf, formatCidr, networkOf, parseCidr } from "../net/cidr.ts";
import { makeDirectory, readIfThere, removeFile, replaceFile } from "../sys/files.ts";
import { thisBoot } from "./boot.ts";

/** Where flannel writes it, and flannel's plugin looks. */
export const SUBNET_FILE = "/run/flannel/subnet.env";

export interface SubnetEnv {
  /** The whole network; at least one family. */
  readonly networks: { readonly [F in Family]?: Cidr };
  /** Further networks that the file lists, all of whose hosts are reached through the overlay as well. */
  readonly moreNetworks?: readonly Cidr[];
  /** This host's part, with its gateway as the address: `10.244.1.1/24`. At least one family. */
  readonly subnets: { readonly [F in Family]?: Cidr };
  /** Bytes, of containers. */
  readonly mtu: number;
  /** Whether the agent masquerades what leaves the cluster. */
  readonly ipMasq: boolean;
}

/** A host's subnet as the file has it: with its first address but one, the gateway's. */
export function gatewayOf(subnet: Cidr): Cidr {
  const { family, value } = firstOf(subnet);
  return { address: { family, value: value + 1n }, prefix: subnet.prefix };
}

/** The text of the file. */
export function renderSubnetEnv(env: SubnetEnv, boot = thisBoot()): string {
  const lines = FAMILIES.flatMap(({ family, infix }) => {
    const [network, subnet] = [env.networks[family], env.subnets[family]];
    if (network === undefined || subnet === undefined) return [];
    const more = (env.moreNetworks ?? []).filter(({ address }) => address.family === family);
    return [
      `FLANNEL_${infix}NETWORK=${[network, ...more].map(formatCidr).join(",")}`,
      `FLANNEL_${infix}SUBNET=${formatCidr(subnet)}`,
    ];
  });
  const text = [...lines, `FLANNEL_MTU=${env.mtu}`, `FLANNEL_IPMASQ=${env.ipMasq}`, `${BOOT_MARK}${boot}`];
  return `${text.join("\n")}\n`;
}

/**
 * Reads the text of a file, which errors call `path`. Undefined if it is of another boot than `boot`.
 *
 * @throws TsnetError `invalid`, naming the key that is missing or cannot be.
 */
export function parseSubnetEnv(text: string, path: string, boot = thisBoot()): SubnetEnv | undefined {
  const lines = text.split("\n").map((line) => line.trim());
  const written = lines.find((line) => line.startsWith(BOOT_MARK))?.slice(BOOT_MARK.length);
  if (written !== undefined && written !== boot) return undefined;
  const values = new Map(lines.flatMap(entryOf));
  const missing = [
    ...(FAMILIES.some(({ infix }) => values.has(`FLANNEL_${infix}NETWORK`)) ? [] : ["FLANNEL_NETWORK"]),
    ...(FAMILIES.some(({ infix }) => values.has(`FLANNEL_${infix}SUBNET`)) ? [] : ["FLANNEL_SUBNET"]),
    ...["FLANNEL_MTU", "FLANNEL_IPMASQ"].filter((key) => !values.has(key)),
  ];
  if (missing.length > 0) throw invalid(path, `is missing ${missing.join(", ")}`);
  return { ...partsOf(values, path), mtu: mtuOf(values, path), ipMasq: values.get("FLANNEL_IPMASQ") === "true" };
}

/**
 * The file at `path`; undefined if it is not there, or is of an earlier boot.
 *
 * @throws TsnetError `invalid` as {@link parseSubnetEnv}, `io`.
 */
export function readSubnetEnv(path = SUBNET_FILE): SubnetEnv | undefined {
  const text = readIfThere(path);
  return text === undefined ? undefined : parseSubnetEnv(text, path);
}

/** Puts the file at `path`, whole or not at all, unless it is there word for word. True if it was written. */
export function writeSubnetEnv(path: string, env: SubnetEnv): boolean {
  const text = renderSubnetEnv(env);
  if (readIfThere(path) === text) return false;
  makeDirectory(path.slice(0, Math.max(1, path.lastIndexOf("/"))));
  replaceFile(path, text);
  return true;
}

/** Removes the file; true if it was there. */
export function removeSubnetEnv(path: string): boolean {
  return removeFile(path);
}

const FAMILIES = [
  { family: 4, infix: "" },
  { family: 6, infix: "IPV6_" },
] as const;

const BOOT_MARK = "# boot ";

// The least that IPv4 allows (RFC 791) and the most that a link's MTU can say.
const MIN_MTU = 68;
const MAX_MTU = 65535;

/** `KEY=value`, also as people write it for a shell. */
function entryOf(line: string): readonly (readonly [string, string])[] {
  const match = /^(?:export\s+)?([A-Z0-9_]+)=(["']?)(.*)\2$/.exec(line);
  const [, key, , value] = match ?? [];
  // An empty value is what a template leaves for a family that is off.
  return key === undefined || value === undefined || value === "" ? [] : [[key, value]];
}

function partsOf(
  values: ReadonlyMap<string, string>,
  path: string,
): Pick<SubnetEnv, "networks" | "subnets" | "moreNetworks"> {
  const networks: { [F in Family]?: Cidr } = {};
  const subnets: { [F in Family]?: Cidr } = {};
  const more: Cidr[] = [];
  for (const { family, infix } of FAMILIES) {
    const [networkKey, subnetKey] = [`FLANNEL_${infix}NETWORK`, `FLANNEL_${infix}SUBNET`];
    const all = (values.get(networkKey)?.split(",") ?? []).map((text) => cidrOf(text, family, networkKey, path));
    const [network, ...rest] = all.map(networkOf);
    const text = values.get(subnetKey);
    if (network !== undefined) networks[family] = network;
    more.push(...rest);
    if (text === undefined) continue;
    const subnet = cidrOf(text, family, subnetKey, path);
    if (network === undefined) throw invalid(path, `has ${subnetKey} and no ${networkKey}`);
    if (![network, ...rest].some((one) => contains(one, subnet.address))) {
      throw invalid(path, `: ${subnetKey} ${text} is not in ${networkKey} ${values.get(networkKey)}`);
    }
    subnets[family] = subnet;
  }
  return { networks, subnets, ...(more.length === 0 ? {} : { moreNetworks: more }) };
}

function cidrOf(text: string, family: Family, key: string, path: string): Cidr {
  let cidr: Cidr;
  try {
    cidr = parseCidr(text.trim());
  } catch (error) {
    throw invalid(path, `: ${key}: ${messageOf(error)}`);
  }
  if (cidr.address.family !== family) throw invalid(path, `: ${key} is ${text}, wanted IPv${family}`);
  return cidr;
}

function mtuOf(values: ReadonlyMap<string, string>, path: string): number {
  const text = values.get("FLANNEL_MTU") ?? "";
  const mtu = Number(text);
  if (/^\d+$/.test(text) && mtu >= MIN_MTU && mtu <= MAX_MTU) return mtu;
  throw invalid(path, `: FLANNEL_MTU is ${text}, allowed are ${MIN_MTU} to ${MAX_MTU}`);
}

function invalid(path: string, what: string): TsnetError {
  return new TsnetError(`${path}${what.startsWith(":") ? "" : " "}${what}`, { code: "invalid", op: "read subnet.env" });
}
