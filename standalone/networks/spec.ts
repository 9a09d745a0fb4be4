/**
 * What a command line says of a network, into what a file would say of it. The words are docker's and podman's.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { type Address, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, parseCidr } from "../../lib/net/cidr.ts";
import { isName, NAME_FORM } from "../file/names.ts";
import { gatewayOn, isUsable } from "../file/network.ts";
import type { NetworkSpec } from "../file/project.ts";
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
} from "../file/rules.ts";
import { EVERYBODY } from "../isolation/walls.ts";
import { driverOptions } from "./options.ts";

/** The flags of `network create` as they were typed. */
export interface CreateFlags {
  readonly driver?: string;
  readonly subnet?: readonly string[];
  readonly ipRange?: string;
  readonly gateway?: readonly string[];
  readonly ipv6?: boolean;
  readonly mtu?: string;
  readonly bridge?: string;
  /** False for `--no-masquerade`. */
  readonly masquerade?: boolean;
  readonly internal?: boolean;
  /** False for `--no-isolation`. */
  readonly isolation?: boolean;
  readonly openTo?: readonly string[];
  readonly route?: readonly string[];
  readonly label?: readonly string[];
  readonly opt?: readonly string[];
}

/** @throws TsnetError `usage` naming the flag, what it holds and what is allowed. */
export function specOf(name: string, flags: CreateFlags): NetworkSpec {
  if (!isName(name)) throw usage(`"${name}" cannot be a network's name, allowed is ${NAME_FORM}`);
  refuse("NETWORK", whyNotName(name));
  refuse("--driver", whyNotDriver(flags.driver ?? "bridge"));
  const [subnet, given6] = subnetsOf(flags.subnet ?? []);
  const ipv6 = given6 ?? (flags.ipv6 === true ? "auto" : undefined);
  const subnets: readonly (Cidr | "auto" | undefined)[] = [subnet, ipv6];
  const range = flags.ipRange === undefined ? undefined : parsed("--ip-range", flags.ipRange, parseCidr);
  if (range !== undefined) refuse("--ip-range", whyNotRange(range, [subnet, given6]));
  const routes = (flags.route ?? []).map((text) => routeOf(text, subnets));
  const labels = Object.fromEntries((flags.label ?? []).map(parseLabel));
  const options = driverOptions(flags.opt ?? []);
  const bridge = flags.bridge ?? options.bridge;
  const mtu = flags.mtu === undefined ? options.mtu : mtuOf(flags.mtu);
  return {
    name,
    ...(subnet === undefined ? {} : { subnet }),
    gateways: gatewaysOf(flags.gateway ?? [], [subnet, given6]),
    ...(ipv6 === undefined ? {} : { ipv6 }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(bridge === undefined ? {} : { bridge: linkName(bridge) }),
    masquerade: flags.masquerade !== false && options.masquerade !== false,
    options: options.rest,
    ...(flags.internal === true ? { internal: true } : {}),
    ...openingOf(flags),
    ...(range === undefined ? {} : { range }),
    ...(routes.length === 0 ? {} : { routes }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  };
}

function subnetsOf(texts: readonly string[]): readonly [Cidr | undefined, Cidr | undefined] {
  const all = texts.map((text) => parsed("--subnet", text, parseCidr));
  for (const cidr of all) refuse("--subnet", whyNotSubnet(cidr));
  const [four, six] = ([4, 6] as const).map((family) => {
    const [first, second] = all.filter(({ address }) => address.family === family);
    if (first !== undefined && second !== undefined)
      throw usage(`--subnet: ${formatCidr(first)} and ${formatCidr(second)}: one IPv4 and one IPv6 subnet at most`);
    return first;
  });
  return [four, six];
}

function gatewaysOf(texts: readonly string[], subnets: readonly (Cidr | undefined)[]): readonly Address[] {
  return texts.map((text) => {
    const address = parsed("--gateway", text, parseAddress);
    const subnet = subnets.find((one) => one?.address.family === address.family);
    if (subnet === undefined) throw usage(`--gateway ${text}: give the network the --subnet that it is on`);
    if (!isUsable(subnet, address))
      throw usage(
        `--gateway ${text} is no address of ${formatCidr(subnet)}: such as ${formatAddress(gatewayOn(subnet, []))}`,
      );
    return address;
  });
}

function routeOf(text: string, subnets: readonly (Cidr | "auto" | undefined)[]) {
  const route = parsed("--route", text, parseRoute) ?? undefined;
  if (route === undefined) throw usage(`--route ${text}: write ${ROUTE_FORM}`);
  refuse("--route", whyNotRoute(route, subnets));
  return route;
}

function openingOf({ isolation, openTo, internal }: CreateFlags): Pick<NetworkSpec, "open"> {
  if (isolation !== false) return openTo === undefined ? {} : { open: openTo };
  if (internal === true) throw usage("--no-isolation: an internal network lets nobody in: leave out one of the two");
  if (openTo !== undefined) throw usage("--no-isolation opens the network to everybody: leave out --open-to");
  return { open: [EVERYBODY] };
}

function mtuOf(text: string): number {
  if (/^\d{2,5}$/.test(text) && Number(text) >= 68 && Number(text) <= 65535) return Number(text);
  throw usage(`--mtu ${text}: write a number of bytes from 68 to 65535`);
}

function linkName(text: string): string {
  if (isLinkName(text)) return text;
  throw usage(`--bridge ${text}: write ${LINK_NAME_FORM}`);
}

function parsed<T>(flag: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    const way = /^[\da-f.:]+$/i.test(text) && flag !== "--gateway" ? "; write its length, too, such as /24" : "";
    throw usage(`${flag} ${text}: ${messageOf(error)}${way}`);
  }
}

function refuse(flag: string, problem: string | undefined): void {
  if (problem !== undefined) throw usage(`${flag}: ${problem}`);
}

function usage(message: string): TsnetError {
  return new TsnetError(message, { code: "usage", op: "network create" });
}
