/**
 * What a Node says of a host, and what this host writes on its own: flannel's annotations, so that both kinds of agent
 * read each other while a cluster is moved from one to the other.
 *
 *     flannel.alpha.coreos.com/kube-subnet-manager: "true"
 *     flannel.alpha.coreos.com/public-ip: 192.0.2.1
 *     flannel.alpha.coreos.com/backend-type: vxlan
 *     flannel.alpha.coreos.com/backend-data: '{"VNI":1,"VtepMAC":"0a:00:00:00:00:01"}'
 *
 * IPv6 has `public-ipv6` and `backend-v6-data`. The subnets are the Node's podCIDRs. `public-ip-overwrite` is the
 * operator's: what others are told in place of the host's own address.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { fieldsOf, listOf, textOf } from "../../lib/kube/fields.ts";
import { type Address, type Family, formatAddress } from "../../lib/net/address.ts";
import { type Cidr, networkOf, parseCidr } from "../../lib/net/cidr.ts";
import { parseHostAddress, parseVxlanData, type VxlanData, vxlanData } from "../lease/lease.ts";
import { FAMILIES, valuesOf } from "../parts.ts";
import type { Backend, Claim, Lease, LeasePart, Parts } from "../types.ts";

/** What is kept of a Node. */
export interface NodeRecord {
  readonly name: string;
  /** Flannel's alone, by name without prefix. */
  readonly annotations: Annotations;
  readonly podCIDRs: readonly string[];
  /** Its condition NetworkUnavailable. */
  readonly unavailable: { readonly status: string; readonly reason: string } | undefined;
}

type Annotations = Readonly<Partial<Record<AnnotationName, string>>>;
type AnnotationName = (typeof WRITTEN)[number] | (typeof READ)[number];

/** What agents write. */
const WRITTEN = [
  "kube-subnet-manager",
  "backend-type",
  "backend-data",
  "backend-v6-data",
  "public-ip",
  "public-ipv6",
] as const;
/** What operators write. */
const READ = ["public-ip-overwrite", "public-ipv6-overwrite", "node-public-ip", "node-public-ipv6"] as const;

const NAMES = {
  4: { address: "public-ip", data: "backend-data", overwrite: "public-ip-overwrite", wish: "node-public-ip" },
  6: { address: "public-ipv6", data: "backend-v6-data", overwrite: "public-ipv6-overwrite", wish: "node-public-ipv6" },
} as const;

/** Undefined for what has no name. @param prefix of annotations, with its slash. */
export function readNode(raw: unknown, prefix: string): NodeRecord | undefined {
  const { metadata, spec, status } = fieldsOf(raw);
  const { name, annotations } = fieldsOf(metadata);
  if (typeof name !== "string" || name === "") return undefined;
  const all = fieldsOf(annotations);
  const ours: Partial<Record<AnnotationName, string>> = {};
  for (const one of [...WRITTEN, ...READ]) {
    const value = textOf(all[`${prefix}${one}`]);
    if (value !== undefined) ours[one] = value;
  }
  const { podCIDR, podCIDRs } = fieldsOf(spec);
  const many = listOf(podCIDRs).filter((one) => typeof one === "string");
  const condition = listOf(fieldsOf(status).conditions)
    .map(fieldsOf)
    .find(({ type }) => type === "NetworkUnavailable");
  return {
    name,
    annotations: ours,
    podCIDRs: many.length > 0 || typeof podCIDR !== "string" ? many : [podCIDR],
    unavailable: condition && { status: textOf(condition.status) ?? "", reason: textOf(condition.reason) ?? "" },
  };
}

/**
 * The lease of the host; undefined where no agent has written one.
 *
 * @throws TsnetError `invalid` or `decoding`, naming the annotation that is wrong.
 */
export function leaseOfNode(node: NodeRecord): Lease | undefined {
  const { annotations, name } = node;
  if (annotations["kube-subnet-manager"] !== "true") return undefined;
  const backend = backendOf(annotations["backend-type"]);
  const subnets = subnetsOfNode(node);
  const parts: { [F in Family]?: LeasePart } = {};
  let vni: number | undefined;
  for (const family of FAMILIES) {
    const address = addressIn(annotations, NAMES[family].address, family);
    if (address === undefined) continue;
    const subnet = subnets[family];
    if (subnet === undefined) throw invalid(`it has ${NAMES[family].address} and no IPv${family} podCIDR`);
    const data = backend === "vxlan" ? dataIn(annotations, family) : undefined;
    if (vni !== undefined && data?.vni !== vni)
      throw invalid(`backend-data has VNI ${vni}, backend-v6-data ${data?.vni}`);
    vni = data?.vni;
    parts[family] = { subnet, address, mac: data?.mac };
  }
  if (valuesOf(parts).length === 0) throw invalid("it has no annotation public-ip");
  return { key: name, host: name, backend, vni, parts };
}

/** The podCIDRs, one a family. @throws TsnetError `invalid`. */
export function subnetsOfNode({ podCIDRs }: NodeRecord): Parts<Cidr> {
  const subnets: { [F in Family]?: Cidr } = {};
  for (const text of podCIDRs) {
    const subnet = networkOf(parseCidr(text));
    const { family } = subnet.address;
    if (subnets[family] !== undefined)
      throw invalid(`it has more than one IPv${family} podCIDR: ${podCIDRs.join(", ")}`);
    subnets[family] = subnet;
  }
  return subnets;
}

/** The claim as others are told it: with the addresses that the Node's operator wants. @throws TsnetError `invalid`. */
export function overwritten(claim: Claim, { annotations }: NodeRecord): Claim {
  const part = (family: Family): Claim["parts"] => {
    const offered = claim.parts[family];
    if (offered === undefined) return {};
    const address = addressIn(annotations, NAMES[family].overwrite, family) ?? offered.address;
    return { [family]: { ...offered, address } };
  };
  return { ...claim, parts: { ...part(4), ...part(6) } };
}

/** Addresses that `node-public-ip` asks this host to use, and that it does not: `[annotation, address]`. */
export function unheardWishes(claim: Claim, { annotations }: NodeRecord): readonly (readonly [string, string])[] {
  return FAMILIES.flatMap((family) => {
    const wish = annotations[NAMES[family].wish];
    const offered = claim.parts[family];
    if (wish === undefined || offered === undefined || formatAddress(offered.address) === wish) return [];
    return [[NAMES[family].wish, wish] as const];
  });
}

/** What has to be written on the Node, by name with prefix, for it to tell this claim; null removes. */
export function annotationsToWrite(
  claim: Claim,
  node: NodeRecord,
  prefix: string,
): Readonly<Record<string, string | null>> {
  const wanted: Partial<Record<AnnotationName, string>> = {
    "kube-subnet-manager": "true",
    "backend-type": claim.backend,
  };
  for (const family of FAMILIES) {
    const offered = claim.parts[family];
    if (offered === undefined) continue;
    const { vni } = claim;
    const { address, mac } = offered;
    // Flannel writes null for a backend that has nothing to tell.
    wanted[NAMES[family].data] = JSON.stringify(
      vni === undefined || mac === undefined ? null : vxlanData({ vni, mac }),
    );
    wanted[NAMES[family].address] = formatAddress(address);
  }
  const changes = WRITTEN.filter((name) => wanted[name] !== node.annotations[name]);
  return Object.fromEntries(changes.map((name) => [`${prefix}${name}`, wanted[name] ?? null]));
}

/** What takes all of that back. */
export function annotationsToRemove({ annotations }: NodeRecord, prefix: string): Readonly<Record<string, null>> {
  const there = WRITTEN.filter((name) => annotations[name] !== undefined);
  return Object.fromEntries(there.map((name) => [`${prefix}${name}`, null]));
}

function backendOf(type: string | undefined): Backend["type"] {
  if (type === "vxlan" || type === "host-gw") return type;
  throw invalid(`backend-type is ${type === undefined ? "absent" : JSON.stringify(type)}: there are vxlan and host-gw`);
}

function addressIn(annotations: Annotations, name: AnnotationName, family: Family): Address | undefined {
  const text = annotations[name];
  return text === undefined ? undefined : parseHostAddress(text, family, name);
}

function dataIn(annotations: Annotations, family: Family): VxlanData {
  const name = NAMES[family].data;
  const text = annotations[name];
  if (text === undefined) throw invalid(`${name} is absent`);
  try {
    return parseVxlanData(JSON.parse(text), name);
  } catch (cause) {
    if (cause instanceof TsnetError) throw cause;
    throw new TsnetError(`${name} is no JSON: ${messageOf(cause)}`, { code: "decoding", cause });
  }
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "read node" });
}
