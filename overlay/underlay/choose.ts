/**
 * Which interface leads to the other hosts, and by which addresses: flannel's rules, in its order.
 *
 * By name or address, else by expression, else by the route to an address, else by the public address, else by the
 * default route. Whoever finds none is told what there is.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { type Address, type Family, formatAddress, parseAddress, sameAddress } from "../../lib/net/address.ts";
import { RT_TABLE_MAIN, RTN_UNICAST } from "../../lib/netlink/constants.ts";
import { routeGet, routeList } from "../../lib/netlink/route.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { FAMILIES, valuesOf } from "../parts.ts";
import type { UnderlaySettings } from "../settings.ts";
import type { Parts, Underlay } from "../types.ts";
import { type Interface, interfacesOf, isOfOneLink, usableAddresses } from "./interfaces.ts";

/** The interface, and what led to it: an address that was named stays the one that is used. */
interface Choice {
  readonly link: Interface;
  readonly address?: Address | undefined;
}

interface Question {
  readonly settings: UnderlaySettings;
  readonly families: readonly Family[];
  readonly interfaces: readonly Interface[];
  readonly socket: RtSocket;
  /** Addresses by which others know this host. */
  readonly known: Parts<Address>;
}

/**
 * The underlay for `families`. Of an interface's addresses that are equally good the one of `known` stays, as the kernel
 * shows first whichever of IPv6 came last: one that moves from host to host with a service, too.
 *
 * @throws TsnetError `not-found` if no interface will do, or the one that was chosen lacks an address of a family;
 * `invalid` for an expression that is none; `conflict` if the families' default routes leave by two interfaces.
 */
export function chooseUnderlay(
  settings: UnderlaySettings,
  families: readonly Family[],
  socket: RtSocket,
  known: Parts<Address> = {},
): Underlay {
  const question = { settings, families, interfaces: interfacesOf(socket), socket, known };
  const { link, address: named } = choose(question);
  const addresses: { [F in Family]?: Address } = {};
  for (const family of families) addresses[family] = addressOn(link, family, { named, known });
  return {
    index: link.index,
    name: link.name,
    mtu: link.mtu,
    addresses,
    publicAddresses: publicOf(addresses, settings.publicAddresses),
  };
}

function choose(question: Question): Choice {
  const { interfaces, expressions, canReach, publicAddresses } = question.settings;
  if (interfaces.length > 0) return byName(question);
  if (expressions.length > 0) return byExpression(question);
  if (canReach !== undefined) return byRoute(question, canReach);
  if (valuesOf(publicAddresses).length > 0) return byPublicAddress(question) ?? byDefaultRoute(question);
  return byDefaultRoute(question);
}

function byName({ settings, interfaces, known }: Question): Choice {
  for (const wanted of settings.interfaces) {
    const link = interfaces.find(({ name }) => name === wanted);
    if (link !== undefined) return { link };
    const named = addressIn(wanted);
    const holder = named && holderOf(interfaces, known, (address) => sameAddress(address, named));
    if (holder !== undefined) return holder;
  }
  throw missing(`no interface is called or has ${settings.interfaces.join(" or ")}`, interfaces);
}

/** Addresses first, then names, for each expression. */
function byExpression({ settings, families, interfaces, known }: Question): Choice {
  for (const text of settings.expressions) {
    const expression = expressionOf(text);
    const matches = (address: Address) => families.includes(address.family) && expression.test(formatAddress(address));
    const holder = holderOf(interfaces, known, matches);
    if (holder !== undefined) return holder;
    const link = interfaces.find(({ name }) => expression.test(name));
    if (link !== undefined) return { link };
  }
  throw missing(`no interface's name or address matches ${settings.expressions.join(" or ")}`, interfaces);
}

function byRoute({ interfaces, socket }: Question, to: Address): Choice {
  const hop = routeGet(socket, to);
  const link = interfaces.find(({ index }) => index === hop?.dev);
  if (hop === undefined || link === undefined) throw missing(`no route leads to ${formatAddress(to)}`, interfaces);
  return { link, address: hop.src };
}

/** Behind a NAT no interface has it, which is fine. */
function byPublicAddress({ settings, interfaces, known }: Question): Choice | undefined {
  return holderOf(interfaces, known, (address) =>
    valuesOf(settings.publicAddresses).some((wanted) => sameAddress(wanted, address)),
  );
}

function byDefaultRoute({ families, interfaces, socket }: Question): Choice {
  const found = families.flatMap((family) => {
    const link = defaultInterface(interfaces, family, socket);
    return link === undefined ? [] : [{ family, link }];
  });
  const [first, second] = found;
  if (first === undefined) {
    throw missing("no default route says which interface leads to the other hosts: name one", interfaces);
  }
  if (second !== undefined && second.link.index !== first.link.index) {
    throw new TsnetError(
      `the default routes of IPv4 and IPv6 leave by ${first.link.name} and ${second.link.name}, the overlay by one: name it (--iface)`,
      { code: "conflict", op: "choose underlay" },
    );
  }
  return { link: first.link };
}

/** Of several default routes the one that the kernel prefers. */
function defaultInterface(interfaces: readonly Interface[], family: Family, socket: RtSocket): Interface | undefined {
  const routes = routeList(socket, { family }).filter(
    ({ dst, table, type, dev }) =>
      dst.prefix === 0 && table === RT_TABLE_MAIN && type === RTN_UNICAST && dev !== undefined,
  );
  routes.sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
  return interfaces.find(({ index }) => index === routes[0]?.dev);
}

/**
 * The one that was named, if it is of the family; else the best that there is. An IPv6 address of one link is not, which
 * every interface has: it would be taken while the one that others can send to is not there yet.
 */
function addressOn(
  link: Interface,
  family: Family,
  { named, known }: { readonly named: Address | undefined; readonly known: Parts<Address> },
): Address {
  const lasting = usableAddresses(link, family, known).find((one) => !isOfOneLink(one));
  const address = named?.family === family ? named : lasting;
  if (address !== undefined) return address;
  const other = link.addresses.map(({ cidr }) => formatAddress(cidr.address)).join(", ");
  throw new TsnetError(
    `interface ${link.name} has no IPv${family} address, which the network's IPv${family} part needs${other === "" ? "" : ` (it has ${other})`}: give it one, or name another interface (--iface)`,
    { code: "not-found", op: "choose underlay" },
  );
}

function publicOf(addresses: Parts<Address>, told: Parts<Address>): Parts<Address> {
  return Object.fromEntries(
    FAMILIES.flatMap((family) =>
      addresses[family] === undefined ? [] : [[family, told[family] ?? addresses[family]]],
    ),
  );
}

function holderOf(
  interfaces: readonly Interface[],
  known: Parts<Address>,
  matches: (address: Address) => boolean,
): Choice | undefined {
  for (const link of interfaces) {
    const address = FAMILIES.flatMap((family) => usableAddresses(link, family, known)).find(matches);
    if (address !== undefined) return { link, address };
  }
  return undefined;
}

/** Undefined for a name of an interface. */
function addressIn(text: string): Address | undefined {
  try {
    return parseAddress(text);
  } catch {
    return undefined;
  }
}

function expressionOf(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (cause) {
    throw new TsnetError(`${JSON.stringify(text)} is no regular expression for an interface`, {
      code: "invalid",
      op: "choose underlay",
      cause,
    });
  }
}

function missing(what: string, interfaces: readonly Interface[]): TsnetError {
  const there = interfaces.map(({ name, addresses }) => {
    const texts = addresses.map(({ cidr }) => formatAddress(cidr.address));
    return texts.length === 0 ? name : `${name} (${texts.join(", ")})`;
  });
  return new TsnetError(`${what}; there ${there.length === 1 ? "is" : "are"} ${there.join(", ")}`, {
    code: "not-found",
    op: "choose underlay",
  });
}
