/**
 * A file that lists all hosts as the source of peers: nothing to run beside the agents, and read again whenever it
 * changes. The one that needs no server, and so the default.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import { formatAddress, sameAddress } from "../../lib/net/address.ts";
import type { Cidr } from "../../lib/net/cidr.ts";
import { FAMILIES, subnetsOf } from "../parts.ts";
import type { StaticSettings } from "../settings.ts";
import type { Claim, Lease, NetworkConfig, Parts } from "../types.ts";
import { objectionTo, sharesAddress } from "./assigned.ts";
import { Ledger } from "./ledger.ts";
import type { OwnLease, Source, SourceEvents } from "./source.ts";
import { type HostList, parseHostList } from "./statichosts.ts";
import { WatchedFile } from "./watchedfile.ts";

export interface SourceTools {
  readonly log: Log;
  readonly clock: Clock;
}

/** Reads `settings.file`. This host is the one of `nodeName`, else the one with an address of its claim. */
export function staticSource(settings: StaticSettings & { readonly nodeName: string }, tools: SourceTools): Source {
  return new HostsFile(settings, tools);
}

class HostsFile implements Source {
  readonly name: string;
  readonly #nodeName: string;
  readonly #tools: SourceTools;
  #events: SourceEvents | undefined;
  #ledger: Ledger | undefined;
  #file: WatchedFile | undefined;
  #network: NetworkConfig | undefined;
  #claim: Claim | undefined;
  #told: OwnLease | undefined;
  /** The file as a whole: as malformed as a record may be, under its own name. */
  #unusable = false;

  constructor(settings: StaticSettings & { readonly nodeName: string }, tools: SourceTools) {
    this.name = settings.file;
    this.#nodeName = settings.nodeName;
    this.#tools = tools;
  }

  start(events: SourceEvents): void {
    const { clock } = this.#tools;
    this.#events = events;
    this.#ledger = new Ledger(events);
    this.#file = new WatchedFile({
      ...{ path: this.name, clock },
      take: (text) => this.#take(text),
      trouble: (reason) => events.connection(reason === undefined, reason),
    });
    // As with the other sources nothing is told before this has returned.
    queueMicrotask(() => this.#file?.start());
  }

  claim(claim: Claim): void {
    this.#claim = claim;
    this.#told = undefined;
    queueMicrotask(() => this.#answer());
  }

  ready(): void {}

  async stop(): Promise<void> {
    this.#file?.close();
    this.#file = undefined;
    this.#claim = undefined;
  }

  /** What the file gives a host it gives for good. */
  async release(): Promise<void> {
    this.#claim = undefined;
  }

  #take(text: string): void {
    const warn = (problem: string) => this.#tools.log.warn(problem);
    try {
      this.#tell(parseHostList(text, { path: this.name, warn }));
    } catch (error) {
      this.#unusable = true;
      this.#events?.malformed(this.name, messageOf(error));
    }
  }

  #tell({ network, leases, malformed }: HostList): void {
    if (this.#unusable) this.#events?.gone(this.name);
    this.#unusable = false;
    if (!isDeepStrictEqual(network, this.#network)) this.#events?.network(network);
    this.#network = network;
    this.#ledger?.begin();
    for (const lease of leases) this.#ledger?.set(lease);
    for (const [key, reason] of malformed) this.#ledger?.malformed(key, reason);
    this.#ledger?.end();
    this.#answer();
  }

  /** Tells how the claim fares, if that is news. */
  #answer(): void {
    if (this.#claim === undefined || this.#network === undefined || this.#ledger === undefined) return;
    const answer = this.#decide(this.#claim, this.#network.networks, this.#ledger);
    if (isDeepStrictEqual(answer, this.#told)) return;
    this.#told = answer;
    this.#events?.own(answer);
  }

  #decide(claim: Claim, networks: Parts<Cidr>, ledger: Ledger): OwnLease {
    const all = [...ledger.leases];
    const named = all.find(({ key }) => key === this.#nodeName);
    const reason = named === undefined ? ledger.reasonOf(this.#nodeName) : undefined;
    if (reason !== undefined) return refused(`${this.name}: host ${this.#nodeName}: ${reason}`);
    const lease = named ?? sharesAddress(claim, all)?.holder;
    if (lease === undefined) return refused(this.#unknown(claim));
    const others = all.filter(({ key }) => key !== lease.key);
    const objection = objectionTo({ claim, subnets: subnetsOf(lease), assigner: this.name, networks, others });
    if (objection !== undefined) return objection;
    const elsewhere = this.#elsewhere(claim, lease) ?? this.#shared(claim, others);
    return elsewhere === undefined ? { kind: "held", lease } : refused(elsewhere);
  }

  #unknown({ parts }: Claim): string {
    const addresses = FAMILIES.flatMap((family) => parts[family]?.address ?? []).map(formatAddress);
    return `${this.name} has no host ${this.#nodeName} and none with the address ${addresses.join(" or ")}: add it there, or give the name that it has there with --node-name`;
  }

  /** Others send to what the file says: where that is not us, we hear nothing. */
  #elsewhere({ parts }: Claim, lease: Lease): string | undefined {
    for (const family of FAMILIES) {
      const [ours, listed] = [parts[family]?.address, lease.parts[family]?.address];
      if (ours === undefined || listed === undefined || sameAddress(ours, listed)) continue;
      return `${this.name} gives host ${lease.host} the address ${formatAddress(listed)}, and this host uses ${formatAddress(ours)}: correct the file, or choose the interface or address that it means`;
    }
    return undefined;
  }

  #shared(claim: Claim, others: readonly Lease[]): string | undefined {
    const shared = sharesAddress(claim, others);
    if (shared === undefined) return undefined;
    return `${this.name} gives host ${shared.holder.host} the address ${shared.address} of this host, too: correct one of them`;
  }
}

function refused(reason: string): OwnLease {
  return { kind: "refused", reason };
}
