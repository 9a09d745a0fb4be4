/**
 * The `networks` section: one entry into a {@link NetworkSpec}.
 *
 * @module
 */
import { type Address, compareAddress, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, firstOf, formatCidr, lastOf, parseCidr } from "../../lib/net/cidr.ts";
import { EVERYBODY } from "../isolation/walls.ts";
import { idOf } from "../plan/names.ts";
import { isName, NAME_FORM } from "./names.ts";
import { COMMAND_PROJECT, type NetworkOptions, type NetworkRoute, type NetworkSpec } from "./project.ts";
import {
  isLinkName,
  LINK_NAME_FORM,
  parseLabel,
  parseRoute,
  ROUTE_FORM,
  whyNotDriver,
  whyNotName,
  whyNotRange,
  whyNotRoute,
  whyNotSubnet,
} from "./rules.ts";
import type { Entry, Value } from "./yaml.ts";

const KEYS = [
  "driver",
  "subnet",
  "ip_range",
  "gateway",
  "ipv6",
  "mtu",
  "bridge",
  "masquerade",
  "internal",
  "isolation",
  "open_to",
  "routes",
  "labels",
  "options",
  "external",
] as const;
const SWITCHES = [
  "hairpinMode",
  "promiscMode",
  "portIsolation",
  "macspoofchk",
  "enabledad",
  "preserveDefaultVlan",
] as const;
const OPTIONS = ["backend", "vlan", ...SWITCHES] as const;

const OPEN_FORM = "a network of this file, or one of another project as PROJECT.NETWORK";
const RANGE_EXAMPLE = "10.88.1.128/25";

// Below 1280 IPv6 cannot be (RFC 8200), below 68 IPv4 cannot (RFC 791).
const LEAST_MTU = 68;
const MOST_MTU = 65535;

/** Reads one network; undefined if it is not usable (which has been noted). */
export function readNetwork({ name, key, value }: Entry): NetworkSpec | undefined {
  if (!isName(name)) return key.problem(`"${name}" cannot be a network's name, allowed is ${NAME_FORM}`);
  const reserved = whyNotName(name);
  if (reserved !== undefined) return key.problem(reserved);
  const fields = value.empty ? {} : value.fields(KEYS);
  const external = fields.external === undefined ? undefined : readExternal(fields.external, name);
  if (external !== undefined) {
    for (const other of KEYS)
      if (other !== "external") fields[other]?.problem("an external network is used as it is: leave this out");
    return { name, gateways: [], masquerade: true, options: {}, external };
  }
  const subnet = fields.subnet === undefined ? undefined : readSubnet(fields.subnet, 4);
  const ipv6 = fields.ipv6 === undefined ? undefined : readIpv6(fields.ipv6);
  if (fields.driver !== undefined) note(fields.driver, whyNotDriver(fields.driver.text("bridge") ?? "bridge"));
  const range = fields.ip_range?.parsed(`a part of the subnet, such as ${RANGE_EXAMPLE}`, parseCidr);
  if (range !== undefined) note(fields.ip_range, whyNotRange(range, [subnet, ipv6 === "auto" ? undefined : ipv6]));
  const routes = fields.routes === undefined ? undefined : readRoutes(fields.routes, [subnet, ipv6]);
  const labels = fields.labels === undefined ? undefined : readLabels(fields.labels);
  const mtu = fields.mtu?.integer(LEAST_MTU, MOST_MTU);
  const bridge = fields.bridge?.parsed(LINK_NAME_FORM, parseLinkName);
  return {
    name,
    ...(subnet === undefined ? {} : { subnet }),
    gateways: fields.gateway === undefined ? [] : readGateways(fields.gateway, subnet, ipv6),
    ...(ipv6 === undefined ? {} : { ipv6 }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(bridge === undefined ? {} : { bridge }),
    masquerade: fields.masquerade?.boolean() ?? true,
    options: fields.options === undefined ? {} : readOptions(fields.options),
    ...readIsolation(fields),
    ...(range === undefined ? {} : { range }),
    ...(routes === undefined ? {} : { routes }),
    ...(labels === undefined ? {} : { labels }),
  };
}

/** What the keys about who gets in and out say. */
function readIsolation({
  internal,
  isolation,
  open_to: openTo,
}: Partial<Record<(typeof KEYS)[number], Value>>): Pick<NetworkSpec, "internal" | "open"> {
  const isInternal = internal?.boolean() === true;
  const isOff = isolation?.boolean() === false;
  const open = openTo?.list("a list of networks").flatMap((one) => one.parsed(OPEN_FORM, parseNetworkName) ?? []);
  if (isOff && isInternal)
    isolation?.problem("found false, but an internal network lets nobody in: leave out one of the two");
  if (isOff && open !== undefined)
    openTo?.problem("isolation: false opens the network to everybody: leave out one of the two");
  return {
    ...(isInternal ? { internal: true } : {}),
    ...(isOff ? { open: [EVERYBODY] } : open === undefined || open.length === 0 ? {} : { open }),
  };
}

function parseNetworkName(text: string): string | undefined {
  const parts = text.split(".");
  return parts.length <= 2 && parts.every(isName) ? text : undefined;
}

function note(value: Value | undefined, problem: string | undefined): undefined {
  return problem === undefined ? undefined : value?.problem(problem);
}

/** Whether a container may have `address` on `subnet`: it is neither the network's own, nor the broadcast, nor outside. */
export function isUsable(subnet: Cidr, address: Address): boolean {
  if (!contains(subnet, address) || compareAddress(address, firstOf(subnet)) === 0) return false;
  return address.family === 6 || compareAddress(address, lastOf(subnet)) !== 0;
}

/** The host's address on `subnet`: the one that the file names, else the first. */
export function gatewayOn(subnet: Cidr, gateways: readonly Address[]): Address {
  const { family, value } = firstOf(subnet);
  return gateways.find((gateway) => gateway.family === family) ?? { family, value: value + 1n };
}

/** `true` is the network of that name that a command made. */
function readExternal(value: Value, name: string): string | undefined {
  const allowed = "true for one that tsnet network create made, or that of another project as PROJECT.NETWORK";
  if (value.text(allowed) === "false") return undefined;
  return value.parsed(allowed, (text) => {
    if (text === "true") return idOf(COMMAND_PROJECT, name);
    const parts = text.split(".");
    return parts.length === 2 && parts.every(isName) ? text : undefined;
  });
}

function readSubnet(value: Value, family: 4 | 6): Cidr | undefined {
  const example = family === 4 ? "10.88.1.0/24" : "fd00:88:1::/64";
  const cidr = value.parsed(`an IPv${family} subnet, such as ${example}`, parseCidr);
  if (cidr === undefined) return undefined;
  if (cidr.address.family !== family) return value.wrong(`an IPv${family} subnet, such as ${example}`);
  const problem = whyNotSubnet(cidr);
  if (problem !== undefined) return value.problem(problem);
  return cidr;
}

function readIpv6(value: Value): Cidr | "auto" | undefined {
  const text = value.text("true, false or an IPv6 subnet, such as fd00:88:1::/64");
  if (text === "true") return "auto";
  if (text === undefined || text === "false") return undefined;
  return readSubnet(value, 6);
}

function readGateways(value: Value, subnet: Cidr | undefined, ipv6: Cidr | "auto" | undefined): readonly Address[] {
  const values = value.isList ? value.list("addresses") : [value];
  return values.flatMap((one) => {
    const address = one.parsed("an address, or a list of one IPv4 and one IPv6 address", parseAddress);
    if (address === undefined) return [];
    const within = address.family === 4 ? subnet : ipv6;
    const key = address.family === 4 ? "subnet" : "ipv6";
    if (within === undefined || within === "auto")
      one.problem(`found ${formatAddress(address)}: give the network a ${key} for it`);
    else if (!isUsable(within, address))
      one.problem(`found ${formatAddress(address)}, allowed is an address of ${formatCidr(within)}`);
    return [address];
  });
}

function readRoutes(value: Value, subnets: readonly (Cidr | "auto" | undefined)[]): readonly NetworkRoute[] {
  return value.list(`a list of ${ROUTE_FORM}`).flatMap((one) => {
    const route = one.parsed(ROUTE_FORM, parseRoute);
    if (route === undefined) return [];
    note(one, whyNotRoute(route, subnets));
    return [route];
  });
}

function readLabels(value: Value): Readonly<Record<string, string>> {
  if (value.isMap) {
    return Object.fromEntries(
      value.entries("labels").map(({ name, value: one }) => [name, one.empty ? "" : (one.text("a string") ?? "")]),
    );
  }
  const pairs = value.list("a mapping of labels, or a list of NAME=VALUE").flatMap((one) => {
    const text = one.text("NAME=VALUE");
    return text === undefined ? [] : [parseLabel(text)];
  });
  return Object.fromEntries(pairs);
}

function readOptions(value: Value): NetworkOptions {
  const fields = value.fields(OPTIONS);
  const backend = fields.backend?.parsed("iptables or nftables", (text) =>
    /^(iptables|nftables)$/.test(text) ? text : undefined,
  );
  const vlan = fields.vlan?.integer(1, 4094);
  const switches = SWITCHES.flatMap((name) => {
    const on = fields[name]?.boolean();
    return on === undefined ? [] : [[name, on] as const];
  });
  return {
    ...(backend === undefined ? {} : { backend }),
    ...(vlan === undefined ? {} : { vlan }),
    ...Object.fromEntries(switches),
  };
}

function parseLinkName(text: string): string | undefined {
  return isLinkName(text) ? text : undefined;
}
