/**
 * Who is called what, as each container sees it: by the networks that it shares with others. Pure.
 *
 * Nothing is worked out for each container, since there may be hundreds: every network has one table, and a look-up
 * asks those of the networks that the asker is on.
 *
 * @module
 */
import { type Address, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, parseCidr } from "../../lib/net/cidr.ts";
import type { HelperView } from "../helper/view.ts";
import type { ContainerRecord, NetworkRecord } from "../state/records.ts";
import { parsePointer } from "./pointer.ts";

/** The name by which every container knows the host. */
export const HOST_NAME = "host.tsnet.internal";

/** What a name stands for: addresses of both families, or for an address turned round a name. */
export type Found =
  | { readonly kind: "addresses"; readonly addresses: readonly string[] }
  | { readonly kind: "pointer"; readonly name: string }
  /** It would be ours, and is not there. */
  | { readonly kind: "absent" }
  /** Somebody else's. */
  | { readonly kind: "elsewhere" };

/** Whom to ask for what is somebody else's: the host's resolvers, those that the container names, or nobody. */
export type Asked = "host" | "nobody" | readonly string[];

const LOCALHOST: Found = { kind: "addresses", addresses: ["127.0.0.1", "::1"] };
const ABSENT: Found = { kind: "absent" };
const ELSEWHERE: Found = { kind: "elsewhere" };

/** The names of one moment. */
export class Zone {
  readonly #sites: ReadonlyMap<string, Site>;
  readonly #containers: ReadonlyMap<string, ContainerRecord>;

  constructor({ containers, networks }: Pick<HelperView, "containers" | "networks">) {
    const sites = new Map(networks.map((network) => [network.id, new Site(network)]));
    for (const container of containers) {
      // Whose command has ended is reached by nobody; its addresses stay its own.
      if (container.exit === undefined) enter(container, sites);
    }
    for (const site of sites.values()) site.enterHostNames();
    this.#sites = sites;
    this.#containers = new Map(containers.map((container) => [container.id, container]));
  }

  /** What `name` is to the container `id`. Letters of either case are the same, and a dot at the end is nothing. */
  find(id: string, name: string): Found {
    const wanted = name.toLowerCase().replace(/\.$/, "");
    if (wanted === "localhost" || wanted.endsWith(".localhost")) return LOCALHOST;
    const sites = this.#sitesOf(id);
    if (wanted === HOST_NAME) {
      const host = sites.find(({ gateways }) => gateways.length > 0);
      return host === undefined ? ABSENT : { kind: "addresses", addresses: host.gateways };
    }
    const addresses = [...new Set(sites.flatMap((site) => site.addressesOf(wanted)))];
    if (addresses.length > 0) return { kind: "addresses", addresses };
    const pointed = wanted.endsWith(".arpa") ? parsePointer(wanted) : undefined;
    return pointed === undefined ? ELSEWHERE : findAddress(pointed, sites);
  }

  /** Whom the container `id` asks for all else. One that is on internal networks alone has no way out. */
  askedBy(id: string): Asked {
    const sites = this.#sitesOf(id);
    if (sites.length === 0 || sites.every(({ internal }) => internal)) return "nobody";
    return this.#containers.get(id)?.start.dns ?? "host";
  }

  #sitesOf(id: string): readonly Site[] {
    const networks = this.#containers.get(id)?.attachments.map(({ network }) => network) ?? [];
    return networks.flatMap((network) => this.#sites.get(network) ?? []);
  }
}

function enter(container: ContainerRecord, sites: ReadonlyMap<string, Site>): void {
  for (const { network, addresses = [], aliases = [] } of container.attachments) {
    const bare = addresses.map((address) => address.replace(/\/\d+$/, ""));
    const { hostname } = container.start;
    sites.get(network)?.enter({ name: container.name, aliases, hostname, addresses: bare });
  }
}

function findAddress(address: Address, sites: readonly Site[]): Found {
  const text = formatAddress(address);
  for (const site of sites) {
    const name = site.nameOf(text);
    if (name !== undefined) return { kind: "pointer", name };
  }
  return sites.some((site) => site.holds(address)) ? ABSENT : ELSEWHERE;
}

interface Resident {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly hostname: string;
  readonly addresses: readonly string[];
}

/** The names of one network. */
class Site {
  readonly internal: boolean;
  readonly gateways: readonly string[];
  readonly #name: string;
  readonly #subnets: readonly Cidr[];
  readonly #names = new Map<string, string[]>();
  readonly #pointers = new Map<string, string>();
  readonly #residents: Resident[] = [];

  constructor({ name, internal = false, gateways, subnets }: NetworkRecord) {
    this.#name = name.toLowerCase();
    this.internal = internal;
    this.gateways = gateways.map((gateway) => formatAddress(parseAddress(gateway)));
    this.#subnets = subnets.map(parseCidr);
    for (const gateway of this.gateways) this.#pointers.set(gateway, HOST_NAME);
  }

  enter(resident: Resident): void {
    this.#residents.push(resident);
    for (const name of new Set([resident.name, ...resident.aliases])) this.#put(name, resident.addresses);
    for (const address of resident.addresses) this.#pointers.set(address, `${resident.name}.${this.#name}`);
  }

  /** Host names come last: a container that calls itself as another one is called does not take its place. */
  enterHostNames(): void {
    const taken = new Set(this.#names.keys());
    for (const { hostname, addresses } of this.#residents) {
      if (hostname !== "" && !taken.has(hostname.toLowerCase())) this.#put(hostname, addresses);
    }
  }

  addressesOf(name: string): readonly string[] {
    return this.#names.get(name) ?? [];
  }

  nameOf(address: string): string | undefined {
    return this.#pointers.get(address);
  }

  holds(address: Address): boolean {
    return this.#subnets.some((subnet) => contains(subnet, address));
  }

  #put(name: string, addresses: readonly string[]): void {
    for (const key of [name.toLowerCase(), `${name.toLowerCase()}.${this.#name}`]) {
      const there = this.#names.get(key);
      if (there === undefined) this.#names.set(key, [...addresses]);
      else there.push(...addresses);
    }
  }
}
