/**
 * Who belongs to the network: of all leases that a source tells, those that can be used beside each other. A lease that
 * cannot is left out by name and with the reason, and taken in as soon as what stood in its way is gone.
 *
 * Of two that want the same, who was there first stays: a mistake on one host must not cut off another.
 *
 * @module
 */
import { type Address, bitsOf, type Family, formatAddress } from "../lib/net/address.ts";
import { type Cidr, contains, formatCidr, overlaps } from "../lib/net/cidr.ts";
import { FAMILIES, valuesOf } from "./parts.ts";
import { SubnetTable } from "./subnets.ts";
import type { Backend, Lease, LeasePart, Parts } from "./types.ts";

export interface RosterOptions {
  readonly networks: Parts<Cidr>;
  readonly backend: Backend;
  readonly own: Lease;
}

/** What followed from one change. */
export interface RosterChange {
  readonly upserted: readonly Lease[];
  /** Keys. */
  readonly removed: readonly string[];
}

export class Roster {
  readonly #options: RosterOptions;
  /** What of ours no other host may have. */
  readonly #ownNames: ReadonlySet<string>;
  readonly #peers = new Map<string, Lease>();
  /** Leases that are left out, with the reason. */
  readonly #refused = new Map<string, { readonly lease: Lease; readonly reason: string }>();
  readonly #subnets = new SubnetTable();
  /** Underlay addresses and MACs that peers have, to the peer's key. */
  readonly #taken = new Map<string, string>();

  constructor(options: RosterOptions) {
    this.#options = options;
    this.#ownNames = new Set(valuesOf(options.own.parts).flatMap(namesOf));
  }

  /** Those who are in. */
  get peers(): readonly Lease[] {
    return [...this.#peers.values()];
  }

  /** How many they are. */
  get size(): number {
    return this.#peers.size;
  }

  /** Why others are not, by key. */
  get refused(): ReadonlyMap<string, string> {
    return new Map([...this.#refused].map(([key, { reason }]) => [key, reason]));
  }

  /** Exactly these, ours passed over. Who was in before goes first; of the others who has less, as too much is the mistake. */
  replace(all: readonly Lease[]): void {
    const before = new Set(this.#peers.keys());
    for (const each of [this.#peers, this.#refused, this.#taken]) each.clear();
    this.#subnets.clear();
    const others = all.filter(({ key }) => key !== this.#options.own.key);
    const newcomers = others.filter(({ key }) => !before.has(key)).sort(byModesty);
    for (const lease of [...others.filter(({ key }) => before.has(key)), ...newcomers]) this.#admit(lease);
  }

  /** One that is new or has changed. */
  upsert(lease: Lease): RosterChange {
    if (lease.key === this.#options.own.key) return { upserted: [], removed: [] };
    const was = this.#forget(lease.key);
    if (this.#admit(lease)) return this.#retry([lease], []);
    return this.#retry([], was ? [lease.key] : []);
  }

  remove(key: string): RosterChange {
    return this.#forget(key) ? this.#retry([], [key]) : { upserted: [], removed: [] };
  }

  /** What was given up may be what somebody waits for. */
  #retry(upserted: readonly Lease[], removed: readonly string[]): RosterChange {
    const admitted = [...this.#refused.values()].filter(({ lease }) => this.#admit(lease)).map(({ lease }) => lease);
    const again = upserted.filter(({ key }) => !admitted.some((one) => one.key === key));
    return { upserted: [...again, ...admitted], removed };
  }

  #admit(lease: Lease): boolean {
    const used = this.#withinNetwork(lease);
    const reason = typeof used === "string" ? used : this.#objection(used);
    if (typeof used === "string" || reason !== undefined) {
      this.#refused.set(lease.key, { lease, reason: reason ?? "" });
      return false;
    }
    this.#refused.delete(lease.key);
    this.#peers.set(lease.key, used);
    for (const part of valuesOf(used.parts)) {
      this.#subnets.add(part.subnet, lease.key);
      for (const name of namesOf(part)) this.#taken.set(name, lease.key);
    }
    return true;
  }

  /** Whether it was in. */
  #forget(key: string): boolean {
    this.#refused.delete(key);
    const lease = this.#peers.get(key);
    if (lease === undefined) return false;
    this.#peers.delete(key);
    for (const part of valuesOf(lease.parts)) {
      this.#subnets.delete(part.subnet);
      for (const name of namesOf(part)) if (this.#taken.get(name) === key) this.#taken.delete(name);
    }
    return true;
  }

  /** The lease with the families that the network has, or why it is none for this network. */
  #withinNetwork(lease: Lease): Lease | string {
    const { networks, backend } = this.#options;
    const ours = { type: backend.type, vni: backend.type === "vxlan" ? backend.vni : undefined };
    const theirs = { type: lease.backend, vni: lease.backend === "vxlan" ? lease.vni : undefined };
    if (ours.type !== theirs.type || ours.vni !== theirs.vni) {
      return `${lease.host} uses ${backendText(theirs)}, this network ${backendText(ours)}`;
    }
    const parts: { [F in Family]?: LeasePart } = {};
    for (const family of FAMILIES) {
      const [part, network] = [lease.parts[family], networks[family]];
      if (part === undefined || network === undefined) continue;
      if (part.subnet.prefix < network.prefix || !contains(network, part.subnet.address)) {
        return `${formatCidr(part.subnet)} of ${lease.host} is not in the network ${formatCidr(network)}`;
      }
      parts[family] = part;
    }
    if (parts[4] === undefined && parts[6] === undefined) {
      return `${lease.host} has no subnet of ${familiesOf(networks).join(" or ")}`;
    }
    return { ...lease, parts };
  }

  /** Why it cannot be used beside us and those who are in. */
  #objection(lease: Lease): string | undefined {
    for (const part of valuesOf(lease.parts)) {
      const unusable = unusableAddress(part.address);
      if (unusable !== undefined) return `the address ${formatAddress(part.address)} of ${lease.host} is ${unusable}`;
      if (this.#options.backend.type === "vxlan" && part.mac === undefined) return `${lease.host} tells no VTEP MAC`;
      const conflict = this.#conflict(part);
      if (conflict !== undefined) return `${conflict.what} of ${lease.host} ${conflict.how}`;
    }
    return undefined;
  }

  #conflict(part: LeasePart): { readonly what: string; readonly how: string } | undefined {
    const own = this.#options.own.parts[part.subnet.address.family];
    const names = namesOf(part);
    if (own !== undefined) {
      if (overlaps(own.subnet, part.subnet)) return overlapping(part, own.subnet, "this host");
      const shared = names.find((name) => this.#ownNames.has(name));
      if (shared !== undefined) return { what: shared, how: "is this host's, too" };
    }
    const other = this.#subnets.overlapping(part.subnet);
    if (other !== undefined) return overlapping(part, other.subnet, this.#hostOf(other.key));
    for (const name of names) {
      const holder = this.#taken.get(name);
      if (holder !== undefined) return { what: name, how: `is that of ${this.#hostOf(holder)}, too` };
    }
    return undefined;
  }

  #hostOf(key: string): string {
    return this.#peers.get(key)?.host ?? key;
  }
}

/** Those with the longer prefixes first. */
function byModesty(a: Lease, b: Lease): number {
  for (const family of FAMILIES) {
    const one = a.parts[family]?.subnet.prefix ?? bitsOf(family);
    const other = b.parts[family]?.subnet.prefix ?? bitsOf(family);
    if (one !== other) return other - one;
  }
  return a.key < b.key ? -1 : 1;
}

function backendText({ type, vni }: { readonly type: Backend["type"]; readonly vni: number | undefined }): string {
  return type === "vxlan" ? `vxlan with VNI ${vni}` : type;
}

function overlapping({ subnet }: LeasePart, other: Cidr, host: string) {
  return { what: formatCidr(subnet), how: `overlaps ${formatCidr(other)} of ${host}` };
}

function familiesOf(networks: Parts<Cidr>): readonly string[] {
  return FAMILIES.filter((family) => networks[family] !== undefined).map((family) => `IPv${family}`);
}

/** What no two hosts may share, of one family: both families of a host may have the same MAC. */
function namesOf({ address, mac }: LeasePart): readonly string[] {
  const name = `the address ${formatAddress(address)}`;
  return mac === undefined ? [name] : [name, `the IPv${address.family} VTEP MAC ${mac}`];
}

/** Why packets cannot be sent to it; undefined for an address of one host. */
function unusableAddress({ family, value }: Address): string | undefined {
  if (value === 0n) return "unspecified";
  const first = family === 4 ? value >> 24n : value >> 120n;
  if (family === 4 ? first === 127n : value === 1n) return "a loopback address";
  if (family === 4 ? first >= 224n && first < 240n : first === 0xffn) return "a multicast address";
  return family === 4 && value === 0xffffffffn ? "the broadcast address" : undefined;
}
