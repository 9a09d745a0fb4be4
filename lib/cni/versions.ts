/**
 * Results on the wire, in the three shapes that the specification has had.
 *
 * Inside there is one {@link CniResult}. What a version cannot carry is left out when it is written, as the
 * specification's conversion rules say; below 0.3.0 that leaves one address a family and no interfaces.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { type Cidr, formatCidr } from "../net/cidr.ts";
import { parseDns } from "./config.ts";
import { addressIn, cidrIn, objectOf, parseJsonObject } from "./object.ts";
import { CNI_VERSIONS, isAtLeast } from "./supported.ts";
import type { CniDns, CniInterface, CniIp, CniResult, CniRoute, ConfigObject } from "./types.ts";

/**
 * The result as the object to print in `version`.
 *
 * @throws TsnetError `incompatible-version` below 0.3.0, if there is no address.
 */
export function encodeResult(result: CniResult, version: string): Record<string, unknown> {
  switch (shapeOf(version)) {
    case "families":
      return encodeFamilies(result, version);
    case "lists":
      return encodeLists(result, version);
    case "lists-1":
      return encodeLists1(result, version);
  }
}

/**
 * Reads a result in the version that it names itself, in `version` if it names none.
 *
 * @throws TsnetError `decoding` or `invalid`, naming the key.
 */
export function parseResult(json: unknown, version: string): CniResult {
  return readResult(objectOf(json, "the result"), version);
}

/** The same for the text that a plugin printed. */
export function parseResultText(text: string, version: string): CniResult {
  return readResult(parseJsonObject(text, "the result"), version);
}

/** The result of the plugin before us. Its version must be of the same shape as the config's. */
export function parsePrevResult(result: ConfigObject, version: string): CniResult {
  const own = result.string("cniVersion") || version;
  if (CNI_VERSIONS.includes(own) && shapeOf(own) !== shapeOf(version)) {
    throw new TsnetError(`prevResult has version ${own}, which is not of the kind of the config's ${version}`, {
      code: "decoding",
      op: "read prevResult",
    });
  }
  return readResult(result, version);
}

type Shape = "families" | "lists" | "lists-1";

function shapeOf(version: string): Shape {
  if (!CNI_VERSIONS.includes(version)) {
    throw new TsnetError(`unsupported CNI result version ${JSON.stringify(version)}`, { code: "decoding" });
  }
  if (isAtLeast(version, "1.0.0")) return "lists-1";
  return isAtLeast(version, "0.3.0") ? "lists" : "families";
}

function encodeFamilies(result: CniResult, version: string): Record<string, unknown> {
  const family = (wanted: 4 | 6) => {
    const ip = result.ips.find(({ address }) => address.address.family === wanted);
    if (ip === undefined) return undefined;
    const routes = result.routes.filter(({ dst }) => dst.address.family === wanted);
    return compact({
      ip: formatCidr(ip.address),
      gateway: addressText(ip.gateway),
      routes: unlessEmpty(routes.map(encodeRoute)),
    });
  };
  const [ip4, ip6] = [family(4), family(6)];
  if (ip4 === undefined && ip6 === undefined) {
    throw new TsnetError("cannot convert: no valid IP addresses", {
      code: "incompatible-version",
      op: "write result",
      details: `a result of version ${version} needs one: set cniVersion to 0.3.0 or later`,
    });
  }
  return compact({ cniVersion: version, ip4, ip6, dns: encodeDns(result.dns) });
}

function encodeLists(result: CniResult, version: string): Record<string, unknown> {
  return compact({
    cniVersion: version,
    interfaces: unlessEmpty(
      result.interfaces.map(({ name, mac, sandbox }) =>
        compact({ name, mac: textUnlessEmpty(mac), sandbox: textUnlessEmpty(sandbox) }),
      ),
    ),
    ips: unlessEmpty(result.ips.map((ip) => ({ version: String(ip.address.address.family), ...encodeIp(ip) }))),
    routes: unlessEmpty(result.routes.map(encodeRoute)),
    dns: encodeDns(result.dns),
  });
}

function encodeLists1(result: CniResult, version: string): Record<string, unknown> {
  const since11 = isAtLeast(version, "1.1.0");
  const dns = encodeDns(result.dns);
  return compact({
    cniVersion: version,
    interfaces: unlessEmpty(
      result.interfaces.map(({ name, mac, mtu, sandbox, socketPath, pciID }) =>
        compact({
          name,
          mac: textUnlessEmpty(mac),
          mtu: since11 ? mtu || undefined : undefined,
          sandbox: textUnlessEmpty(sandbox),
          socketPath: since11 ? textUnlessEmpty(socketPath) : undefined,
          pciID: since11 ? textUnlessEmpty(pciID) : undefined,
        }),
      ),
    ),
    ips: unlessEmpty(result.ips.map(encodeIp)),
    routes: unlessEmpty(result.routes.map(since11 ? encodeRoute11 : encodeRoute)),
    dns: Object.keys(dns).length === 0 ? undefined : dns,
  });
}

function encodeIp(ip: CniIp): Record<string, unknown> {
  return compact({
    interface: ip.interface,
    address: formatCidr(ip.address),
    gateway: addressText(ip.gateway),
  });
}

function encodeRoute(route: CniRoute): Record<string, unknown> {
  return compact({ dst: formatCidr(route.dst), gw: addressText(route.gw) });
}

function encodeRoute11(route: CniRoute): Record<string, unknown> {
  const { mtu, advmss, priority, table, scope } = route;
  return compact({
    ...encodeRoute(route),
    mtu: mtu || undefined,
    advmss: advmss || undefined,
    priority: priority || undefined,
    table,
    scope,
  });
}

function encodeDns(dns: CniDns): Record<string, unknown> {
  return compact({
    nameservers: unlessEmpty(dns.nameservers ?? []),
    domain: textUnlessEmpty(dns.domain),
    search: unlessEmpty(dns.search ?? []),
    options: unlessEmpty(dns.options ?? []),
  });
}

function readResult(result: ConfigObject, version: string): CniResult {
  const dns = result.object("dns");
  return {
    ...(shapeOf(result.string("cniVersion") || version) === "families" ? readFamilies(result) : readLists(result)),
    dns: dns === undefined ? {} : parseDns(dns),
  };
}

function readFamilies(result: ConfigObject): Omit<CniResult, "dns"> {
  const families = [result.object("ip4"), result.object("ip6")].filter((family) => family !== undefined);
  return {
    interfaces: [],
    ips: families.map((family) => ({ address: requiredCidr(family, "ip"), ...gatewayOf(family) })),
    routes: families.flatMap((family) => (family.objects("routes") ?? []).map(parseRoute)),
  };
}

function readLists(result: ConfigObject): Omit<CniResult, "dns"> {
  return {
    interfaces: (result.objects("interfaces") ?? []).map(readInterface),
    ips: (result.objects("ips") ?? []).map(readIp),
    routes: (result.objects("routes") ?? []).map(parseRoute),
  };
}

function readInterface(it: ConfigObject): CniInterface {
  return {
    name: it.string("name") ?? "",
    ...given("mac", it.string("mac") || undefined),
    ...given("mtu", it.integer("mtu") || undefined),
    ...given("sandbox", it.string("sandbox") || undefined),
    ...given("socketPath", it.string("socketPath") || undefined),
    ...given("pciID", it.string("pciID") || undefined),
  };
}

function readIp(ip: ConfigObject): CniIp {
  const index = ip.integer("interface");
  if (index !== undefined && index < 0) {
    throw new TsnetError(`${ip.at}.interface must be an index, not ${index}`, { code: "decoding" });
  }
  return { ...given("interface", index), address: requiredCidr(ip, "address"), ...gatewayOf(ip) };
}

/**
 * A route of a result or of a config's `routes`.
 *
 * @throws TsnetError `decoding` or `invalid`, naming the key.
 */
export function parseRoute(route: ConfigObject): CniRoute {
  return {
    dst: requiredCidr(route, "dst"),
    ...given("gw", addressIn(route, "gw")),
    ...given("mtu", numberIn(route, "mtu", U32_MAX) || undefined),
    ...given("advmss", numberIn(route, "advmss", U32_MAX) || undefined),
    ...given("priority", numberIn(route, "priority", U32_MAX) || undefined),
    ...given("table", numberIn(route, "table", U32_MAX)),
    ...given("scope", numberIn(route, "scope", U8_MAX)),
  };
}

// As wide as the kernel has them: rtm_scope of linux/rtnetlink.h is a byte.
const U8_MAX = 0xff;
const U32_MAX = 0xffff_ffff;

function numberIn(object: ConfigObject, key: string, most: number): number | undefined {
  const value = object.integer(key);
  if (value === undefined || (value >= 0 && value <= most)) return value;
  throw new TsnetError(`${object.at}.${key} is ${value}, allowed are 0 to ${most}`, { code: "invalid" });
}

function requiredCidr(object: ConfigObject, key: string): Cidr {
  const cidr = cidrIn(object, key);
  if (cidr === undefined) throw new TsnetError(`${object.at}.${key} is missing`, { code: "decoding" });
  return cidr;
}

function gatewayOf(object: ConfigObject): { readonly gateway?: Address } {
  return given("gateway", addressIn(object, "gateway"));
}

/** `{key: value}`, or nothing for undefined: an optional key is left out, not set to undefined. */
function given<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}

function compact(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

function unlessEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

function textUnlessEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function addressText(address: Address | undefined): string | undefined {
  return address === undefined ? undefined : formatAddress(address);
}
