/**
 * {@link Fabric} as the kernel has it. What each step is made of is in the files beside; here is when.
 *
 * Until the first {@link Fabric.replace} nobody knows who the peers are, and nothing that is there is taken away.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";
import type { Family } from "../../lib/net/address.ts";
import type { RtEvents } from "../../lib/netlink/events.ts";
import { linkDel, linkList } from "../../lib/netlink/link.ts";
import { FAMILIES, mapParts, valuesOf } from "../parts.ts";
import type { Lease, Parts } from "../types.ts";
import { applyEntries } from "./apply.ts";
import { containerMtu, type DeviceSpec, deviceSpecs, OUR_DEVICE } from "./device.ts";
import { type Difference, differenceOf } from "./difference.ts";
import { describeEntry, deviceOf, type Entry, repairOf } from "./entry.ts";
import type { Fabric, FabricReport, FabricSpec, Way } from "./fabric.ts";
import { glance } from "./glance.ts";
import { heldEntries } from "./held.ts";
import { Hops } from "./hops.ts";
import { type Made, type MakeContext, makeDevice } from "./make.ts";
import type { Rivalry } from "./rivalry.ts";
import { type TableChange, WantedTable } from "./table.ts";
import { type DeviceRef, type HopTo, needsHop, planOwn, planPeer } from "./wanted.ts";
import { UnderlayWatch } from "./watch.ts";

/** The owner of what is this host's own, in failures too. */
const OWN = "";
const NOTHING: FabricReport = { repairs: [], failures: new Map() };

export interface FabricContext extends MakeContext {
  readonly events: RtEvents;
  readonly rivalry: Rivalry;
}

/** What is so once this host is known. */
interface Standing {
  readonly spec: FabricSpec;
  readonly wishes: Parts<DeviceSpec>;
  readonly underlay: UnderlayWatch;
}

export class KernelFabric implements Fabric {
  readonly #context: FabricContext;
  readonly #hops: Hops;
  readonly #hopTo: HopTo = (address) => this.#hops.to(address);
  readonly #nameOf = (index: number) => this.#hops.nameOf(index);
  readonly #peers = new Map<string, Lease>();
  readonly #ways = new Map<string, Parts<Way>>();
  readonly #failures = new Map<string, string>();
  #standing: Standing | undefined;
  #made: Parts<Made> = {};
  /** What the devices were when they were last there. */
  #last: Parts<DeviceRef> = {};
  #table = new WantedTable();
  /** The peers are known: what is nobody's goes. */
  #settled = false;
  /** Seen by a comparison; the next poll tells. */
  #underlayChanged = false;

  constructor(context: FabricContext) {
    this.#context = context;
    this.#hops = new Hops(context.socket);
  }

  configure(spec: FabricSpec): FabricReport {
    const wishes = deviceSpecs(spec);
    const underlay = UnderlayWatch.open(this.#context.socket, spec.underlay);
    const standing = { spec, wishes, underlay };
    this.#standing = standing;
    this.#failures.delete(OWN);
    const error = this.#makeDevices(wishes);
    if (error !== undefined) throw error;
    return this.#settle(standing);
  }

  replace(peers: readonly Lease[]): FabricReport {
    this.#peers.clear();
    for (const peer of peers) this.#peers.set(peer.key, peer);
    if (this.#standing === undefined) return NOTHING;
    const first = !this.#settled;
    this.#settled = true;
    const report = this.#settle(this.#standing);
    // Only now: until their routes led elsewhere, packets went by them.
    if (first) this.#removeStaleDevices();
    return report;
  }

  upsert(peer: Lease): FabricReport {
    this.#peers.set(peer.key, peer);
    if (this.#standing !== undefined) this.#update(this.#standing, peer);
    return this.#reportOf(peer.key);
  }

  remove(key: string): FabricReport {
    this.#peers.delete(key);
    this.#ways.delete(key);
    this.#failures.delete(key);
    this.#send(this.#table.set(key, []));
    const report = this.#reportOf(key);
    // Who stood back for it has its turn.
    for (const other of [...this.#failures.keys()]) {
      const peer = this.#peers.get(other);
      if (peer !== undefined) this.upsert(peer);
    }
    return report;
  }

  poll(): FabricReport & { readonly underlayChanged: boolean } {
    const events = this.#context.events.poll();
    const standing = this.#standing;
    for (const event of events) this.#hops.see(event);
    if (standing === undefined || (events.length === 0 && !this.#underlayChanged)) {
      return { ...NOTHING, underlayChanged: false };
    }
    const { whole, underlayChanged, touched, difference } = glance(events, {
      ...{ wishes: standing.wishes, underlay: standing.underlay, made: this.#made, table: this.#table },
      routed: () => (needsHop(standing.spec) ? this.#peers.values() : []),
      sweep: this.#settled,
    });
    const report = whole ? this.compare() : this.#repair(standing, difference, touched);
    const changed = underlayChanged || this.#underlayChanged;
    this.#underlayChanged = false;
    const [repair] = report.repairs;
    if (repair !== undefined) this.#context.rivalry.repaired(repair.object);
    return { ...report, underlayChanged: changed };
  }

  compare(): FabricReport {
    if (this.#standing === undefined) return NOTHING;
    const { wishes, underlay } = this.#standing;
    if (underlay.differs(this.#context.socket)) this.#underlayChanged = true;
    const error = this.#makeDevices(wishes);
    if (error === undefined) this.#failures.delete(OWN);
    else this.#failures.set(OWN, messageOf(error));
    const made = valuesOf(this.#made);
    const emptied = new Set(made.filter((device) => device.emptied).map(({ index }) => index));
    const { repairs, failures } = this.#settle(this.#standing, emptied);
    return { repairs: [...made.flatMap((device) => device.repairs), ...repairs], failures };
  }

  way(key: string): Parts<Way> {
    return this.#ways.get(key) ?? {};
  }

  get devices(): Parts<string> {
    return mapParts(this.#made, ({ name }) => name);
  }

  get mtu(): number {
    if (this.#standing !== undefined) return containerMtu(this.#standing.spec);
    throw new TsnetError("the overlay is not configured yet", { code: "busy", op: "overlay mtu" });
  }

  close(): void {
    this.#context.events.close();
    this.#context.socket.close();
  }

  /** All devices, as far as that goes; the first error of those that could not be made. */
  #makeDevices(wishes: Parts<DeviceSpec>): unknown {
    const made: { [F in Family]?: Made } = {};
    const errors: unknown[] = [];
    for (const family of FAMILIES) {
      const wish = wishes[family];
      if (wish === undefined) continue;
      try {
        made[family] = makeDevice(this.#context, wish, this.#last[family]);
      } catch (error) {
        errors.push(error);
      }
    }
    this.#made = made;
    this.#last = { ...this.#last, ...made };
    return errors[0];
  }

  /**
   * Compares all entries and sends what differs. What was lost with a device that was made anew, those of `emptied`,
   * is that one damage.
   */
  #settle(standing: Standing, emptied: ReadonlySet<number> = new Set()): FabricReport {
    // What they told, the dumps show; but for the underlay.
    for (const event of this.#context.events.poll()) {
      this.#hops.see(event);
      if (standing.underlay.see(event) || event.kind === "lost") this.#underlayChanged = true;
    }
    const before = this.#table;
    this.#planAll(standing);
    const devices = new Set(valuesOf(this.#made).map(({ index }) => index));
    const held = heldEntries(this.#context.socket, devices, this.#table);
    const difference = differenceOf(held, this.#table, { before, sweep: this.#settled });
    const refused = this.#send(difference);
    const told = difference.repairs.filter(({ entry }) => !refused.has(entry) && !emptied.has(deviceOf(entry) ?? 0));
    return { repairs: this.#words(told), failures: new Map(this.#failures) };
  }

  #planAll(standing: Standing): void {
    this.#table = new WantedTable();
    this.#ways.clear();
    for (const key of this.#failures.keys()) if (key !== OWN) this.#failures.delete(key);
    this.#table.set(OWN, planOwn(standing.spec));
    for (const peer of this.#peers.values()) this.#plan(standing, peer);
  }

  /** Puts the peer's entries into the table; in the kernel they are not yet. */
  #plan({ spec }: Standing, peer: Lease): TableChange {
    const { entries, ways } = planPeer(spec, this.#made, peer, this.#hopTo);
    this.#ways.set(peer.key, ways);
    const change = this.#table.set(peer.key, entries);
    if (change.clash !== undefined) {
      const { with: other, entry } = change.clash;
      const holder = other === OWN ? "this host" : (this.#peers.get(other)?.host ?? other);
      this.#failures.set(peer.key, `${describeEntry(entry, this.#nameOf)}: ${holder} has that already`);
    }
    return change;
  }

  #update(standing: Standing, peer: Lease): void {
    const failed = this.#failures.delete(peer.key);
    const change = this.#plan(standing, peer);
    this.#send({ put: failed ? this.#table.of(peer.key) : change.put, drop: change.drop });
  }

  #repair(standing: Standing, difference: Difference, touched: Iterable<Lease>): FabricReport {
    for (const peer of touched) this.#update(standing, peer);
    const refused = this.#send(difference);
    const told = difference.repairs.filter(({ entry }) => !refused.has(entry));
    return { repairs: this.#words(told), failures: new Map(this.#failures) };
  }

  /** What the kernel refused. */
  #send(entries: Pick<Difference, "put" | "drop">): ReadonlySet<Entry> {
    const refusals = applyEntries(this.#context.socket, entries, this.#standing?.spec.bridge);
    for (const { entry, message } of refusals) this.#failures.set(this.#table.ownerOf(entry.slot) ?? OWN, message);
    return new Set(refusals.map(({ entry }) => entry));
  }

  #words(repairs: Difference["repairs"]): FabricReport["repairs"] {
    return repairs.map(({ entry, found }) => repairOf(entry, found, this.#nameOf));
  }

  #reportOf(key: string): FabricReport {
    const failure = this.#failures.get(key);
    return failure === undefined ? NOTHING : { repairs: [], failures: new Map([[key, failure]]) };
  }

  /** Of a network that this host was in before. Other VXLAN devices are others', flannel's too. */
  #removeStaleDevices(): void {
    const { socket, log } = this.#context;
    const names = valuesOf(this.devices);
    for (const { kind, name, index } of linkList(socket)) {
      if (kind !== "vxlan" || !OUR_DEVICE.test(name) || names.includes(name)) continue;
      if (linkDel(socket, index)) log.info("a VXLAN device of an earlier network is removed", { device: name });
    }
  }
}
