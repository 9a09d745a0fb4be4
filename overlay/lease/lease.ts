/**
 * What a host writes about itself beside its subnet, in flannel's JSON, and reads of others:
 *
 *     {"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"0a:..."}}
 *
 * IPv6's MAC stands in `BackendV6Data`. Flannel names no host; we do, in a key that it does not look at, so that a
 * message can say more than an address.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { fieldsOf, textOf } from "../../lib/kube/fields.ts";
import { type Address, type Family, formatAddress, parseAddress } from "../../lib/net/address.ts";
import type { Cidr } from "../../lib/net/cidr.ts";
import type { Backend, Claim, Lease, LeasePart, Parts } from "../types.ts";
import { parseSubnetKey } from "./key.ts";
import { parseVtepMac } from "./mac.ts";

/** The largest VNI: 24 bits (RFC 7348, section 5). */
const MAX_VNI = 0xffffff;
const NOWHERE = "0.0.0.0";

/** Of one family, in `BackendData` and in a node's annotations `backend-data` and `backend-v6-data`. */
export interface VxlanData {
  readonly vni: number;
  readonly mac: string;
}

/** A host's record as it was read. */
export interface LeaseRecord {
  /** As {@link Lease.key}. */
  readonly key: string;
  readonly subnets: Parts<Cidr>;
  /** On the underlay. */
  readonly addresses: Parts<Address>;
  /** The host's name, where it wrote one: flannel does not. */
  readonly host: string | undefined;
  /** Undefined for a reservation: a subnet that is kept for the host of an address, which has not come yet. */
  readonly lease: Lease | undefined;
}

/** The text that a host writes which offers this. */
export function leaseText(claim: Claim): string {
  const data = (family: Family) => {
    const mac = claim.parts[family]?.mac;
    return claim.vni === undefined || mac === undefined ? undefined : vxlanData({ vni: claim.vni, mac });
  };
  const address = (family: Family) => {
    const part = claim.parts[family];
    return part === undefined ? undefined : formatAddress(part.address);
  };
  return JSON.stringify({
    PublicIP: address(4) ?? NOWHERE,
    PublicIPv6: address(6) ?? null,
    BackendType: claim.backend,
    BackendData: data(4),
    BackendV6Data: data(6),
    Host: claim.host,
  });
}

/** What a host that has `subnets` is to others. */
export function leaseOf(key: string, claim: Claim, subnets: Parts<Cidr>): Lease {
  const part = (family: Family): Parts<LeasePart> => {
    const [offered, subnet] = [claim.parts[family], subnets[family]];
    return offered === undefined || subnet === undefined ? {} : { [family]: { ...offered, subnet } };
  };
  return { key, host: claim.host, backend: claim.backend, vni: claim.vni, parts: { ...part(4), ...part(6) } };
}

/** The subnets that the last part of a key says. @throws TsnetError `invalid`. */
export function subnetsIn(key: string): Parts<Cidr> {
  return parseSubnetKey(key.slice(key.lastIndexOf("/") + 1));
}

/**
 * Reads the record under `key`; `subnets` are those that the key says.
 *
 * @throws TsnetError `invalid` or `decoding`, naming what is wrong with it.
 */
export function parseLeaseRecord(key: string, text: string, subnets: Parts<Cidr> = subnetsIn(key)): LeaseRecord {
  const fields = fieldsOf(parseJson(text));
  const addresses = addressesOf(subnets, { 4: fields.PublicIP, 6: fields.PublicIPv6 });
  const host = textOf(fields.Host);
  const type = fields.BackendType;
  if (type === undefined || type === "") return { key, subnets, addresses, host, lease: undefined };
  const backend = backendOf(type);
  const data = backend === "vxlan" ? vxlanParts(subnets, { 4: fields.BackendData, 6: fields.BackendV6Data }) : {};
  const part = (family: Family): Parts<LeasePart> => {
    const [subnet, address] = [subnets[family], addresses[family]];
    return subnet === undefined || address === undefined
      ? {}
      : { [family]: { subnet, address, mac: data[family]?.mac } };
  };
  const first = addresses[4] ?? addresses[6];
  const lease: Lease = {
    key,
    host: host ?? (first === undefined ? key : formatAddress(first)),
    backend,
    vni: vniOf(data),
    parts: { ...part(4), ...part(6) },
  };
  return { key, subnets, addresses, host, lease };
}

/** As JSON has it. */
export function vxlanData({ vni, mac }: VxlanData): { readonly VNI: number; readonly VtepMAC: string } {
  return { VNI: vni, VtepMAC: mac };
}

/** Reads {@link vxlanData}, parsed from JSON; `at` is what errors call it. @throws TsnetError `invalid`. */
export function parseVxlanData(value: unknown, at: string): VxlanData {
  const { VNI, VtepMAC } = fieldsOf(value);
  if (typeof VNI !== "number" || !Number.isInteger(VNI) || VNI < 1 || VNI > MAX_VNI) {
    throw new TsnetError(`${at}: VNI is ${textIn(VNI)}, not a number from 1 to ${MAX_VNI}`, { code: "invalid" });
  }
  if (typeof VtepMAC !== "string") {
    throw new TsnetError(`${at}: VtepMAC is ${textIn(VtepMAC)}, not a MAC address`, { code: "invalid" });
  }
  return { vni: VNI, mac: within(`${at}: VtepMAC`, () => parseVtepMac(VtepMAC)) };
}

/**
 * Reads a host's address on the underlay; `at` is what errors call it.
 *
 * @throws TsnetError `invalid` for another family than `family`, and for an address to which no host is reached.
 */
export function parseHostAddress(value: unknown, family: Family, at: string): Address {
  if (typeof value !== "string") throw new TsnetError(`${at} is ${textIn(value)}, not an address`, { code: "invalid" });
  const address = within(at, () => parseAddress(value));
  if (address.family !== family) throw new TsnetError(`${at} is ${value}, not IPv${family}`, { code: "invalid" });
  if (isNobody(address)) throw new TsnetError(`${at} is ${value}, which is no host's address`, { code: "invalid" });
  return address;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsnetError(`the record is no JSON: ${messageOf(cause)}`, { code: "decoding", cause });
  }
}

function addressesOf(subnets: Parts<Cidr>, values: Parts<unknown>): Parts<Address> {
  return {
    ...(subnets[4] === undefined ? {} : { 4: parseHostAddress(values[4], 4, "PublicIP") }),
    ...(subnets[6] === undefined ? {} : { 6: parseHostAddress(values[6], 6, "PublicIPv6") }),
  };
}

function backendOf(type: unknown): Backend["type"] {
  if (type === "vxlan" || type === "host-gw") return type;
  throw new TsnetError(`BackendType is ${textIn(type)}: there are vxlan and host-gw`, { code: "invalid" });
}

function vxlanParts(subnets: Parts<Cidr>, values: Parts<unknown>): Parts<VxlanData> {
  return {
    ...(subnets[4] === undefined ? {} : { 4: parseVxlanData(values[4], "BackendData") }),
    ...(subnets[6] === undefined ? {} : { 6: parseVxlanData(values[6], "BackendV6Data") }),
  };
}

function vniOf(data: Parts<VxlanData>): number | undefined {
  const [four, six] = [data[4]?.vni, data[6]?.vni];
  if (four !== undefined && six !== undefined && four !== six) {
    throw new TsnetError(`the VNI is ${four} in BackendData and ${six} in BackendV6Data`, { code: "invalid" });
  }
  return four ?? six;
}

/** Unspecified, loopback, a group's. */
function isNobody({ family, value }: Address): boolean {
  if (family === 6) return value <= 1n || value >> 120n === 0xffn;
  const first = value >> 24n;
  return first === 0n || first === 127n || first >= 224n;
}

function within<T>(at: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new TsnetError(`${at}: ${messageOf(cause)}`, { code: "invalid", cause });
  }
}

function textIn(value: unknown): string {
  return value === undefined ? "absent" : (JSON.stringify(value) ?? String(value));
}
