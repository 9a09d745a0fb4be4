/**
 * Asks every peer now and then whether it is there, how far it is, and whether TCP gets to it: beside the agent's work,
 * a few at a time, all of them once a period.
 *
 * @module
 */
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import { type Address, formatAddress } from "../../lib/net/address.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import { type ChecksumVerdict, probeChecksum } from "./offload.ts";
import { pingAll } from "./ping.ts";

/** One family of a peer. */
export interface ProbedPeer {
  /** Unique among the peers. */
  readonly key: string;
  /** What people know it by. */
  readonly host: string;
  /** What is asked: the first address of its subnet, which its device has. */
  readonly address: Address;
  /** Its address on the underlay, for messages. */
  readonly underlay: Address;
  /** Its packets go by VXLAN, and their checksums are left to the network card. */
  readonly offload: boolean;
}

export interface ProberOptions {
  /** Ms in which each peer is asked once; 0: never. */
  readonly period: number;
  readonly log: Log;
  readonly clock: Clock;
  /** TCP to the peer is lost for its checksum; told once, until it is fine again. */
  onBroken?(host: string, address: Address): void;
  onFine?(host: string, address: Address): void;
  /** Ms of the round trip; undefined: no answer. */
  onRtt?(peer: ProbedPeer, ms: number | undefined): void;
  /** It is asked no more. */
  onGone?(peer: ProbedPeer): void;
  /** Where, unless in the namespace that the process is in. */
  readonly netns?: Netns;
  /** How peers are asked, unless for real. */
  readonly network?: ProbeNetwork;
}

export interface ProbeNetwork {
  ping(addresses: readonly Address[]): Promise<ReadonlyMap<string, number | undefined>>;
  checksum(address: Address): Promise<ChecksumVerdict>;
}

const PING_TIMEOUT_MS = 1000;
const CHECKSUM_TIMEOUT_MS = 1500;
/** Ms between two groups of peers, at least. */
const TURN_MS = 100;
/** How many checksum probes may be under way: one of a broken peer takes seconds. */
const CHECKSUMS_AT_ONCE = 8;

export class Prober {
  readonly #options: ProberOptions;
  readonly #network: ProbeNetwork;
  #peers: ReadonlyMap<string, ProbedPeer> = new Map();
  /** Keys of those that have not had their turn in this period. */
  #queue: string[] = [];
  readonly #rtts = new Map<string, number>();
  readonly #broken = new Set<string>();
  readonly #probing = new Set<string>();
  #cancel: (() => void) | undefined;
  #stopped = false;
  #complained = false;

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#network = options.network ?? networkIn(options.netns);
  }

  /** Exactly these peers from now on. */
  replace(peers: readonly ProbedPeer[]): void {
    const before = this.#peers;
    this.#peers = new Map(peers.map((peer) => [peer.key, peer]));
    for (const peer of before.values()) if (!this.#peers.has(peer.key)) this.#forget(peer);
    if (this.#cancel === undefined) this.#schedule();
  }

  /** Ms of the last round trip, by the peers' keys; without those that did not answer. */
  get rtts(): ReadonlyMap<string, number> {
    return this.#rtts;
  }

  /** Keys of the peers to which TCP is lost. */
  get broken(): ReadonlySet<string> {
    return this.#broken;
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #schedule(): void {
    const { period, clock } = this.#options;
    this.#cancel = undefined;
    if (this.#stopped || period <= 0 || this.#peers.size === 0) return;
    this.#cancel = clock.after(Math.max(period / this.#peers.size, TURN_MS), () => void this.#turn());
  }

  /** Asks the next few. Throws nothing: what fails is said once, and tried again. */
  async #turn(): Promise<void> {
    const { log, onRtt } = this.#options;
    const peers = this.#next();
    try {
      const answers = await this.#network.ping(peers.map(({ address }) => address));
      for (const peer of peers.filter((one) => this.#isCurrent(one))) {
        const ms = answers.get(formatAddress(peer.address));
        if (ms === undefined) this.#rtts.delete(peer.key);
        else this.#rtts.set(peer.key, ms);
        onRtt?.(peer, ms);
        if (ms !== undefined && peer.offload) void this.#checksum(peer);
      }
    } catch (error) {
      if (!this.#complained) log.warn(`cannot probe peers: ${messageOf(error)}`);
      this.#complained = true;
    }
    this.#schedule();
  }

  /** So many that all have had their turn when the period is over. */
  #next(): readonly ProbedPeer[] {
    const count = Math.ceil((this.#peers.size * TURN_MS) / this.#options.period);
    if (this.#queue.length === 0) this.#queue = [...this.#peers.keys()];
    return this.#queue.splice(0, count).flatMap((key) => this.#peers.get(key) ?? []);
  }

  async #checksum(peer: ProbedPeer): Promise<void> {
    const { key, address } = peer;
    if (this.#probing.size >= CHECKSUMS_AT_ONCE || this.#probing.has(key)) return;
    this.#probing.add(key);
    try {
      let verdict = await this.#network.checksum(address);
      // Whoever is told changes a network: once more, for what may have been a moment's trouble.
      if (verdict === "broken" && !this.#broken.has(key)) verdict = await this.#network.checksum(address);
      if (!this.#stopped && this.#isCurrent(peer)) this.#judge(peer, verdict);
    } catch (error) {
      if (!this.#complained) this.#options.log.warn(`cannot probe ${peer.host}: ${messageOf(error)}`);
      this.#complained = true;
    } finally {
      this.#probing.delete(key);
    }
  }

  #judge(peer: ProbedPeer, verdict: ChecksumVerdict): void {
    const { log, onBroken, onFine } = this.#options;
    const { key, host, address } = peer;
    if (verdict === "broken" && !this.#broken.has(key)) {
      this.#broken.add(key);
      log.warn(brokenText(peer));
      onBroken?.(host, address);
    }
    if (verdict === "fine" && this.#broken.delete(key)) {
      log.info(`TCP to ${nameOf(peer)} is answered again`);
      onFine?.(host, address);
    }
  }

  /** Told of nobody, any more, that is another by now. */
  #isCurrent(peer: ProbedPeer): boolean {
    const current = this.#peers.get(peer.key);
    return current !== undefined && formatAddress(current.address) === formatAddress(peer.address);
  }

  #forget(peer: ProbedPeer): void {
    this.#rtts.delete(peer.key);
    this.#broken.delete(peer.key);
    this.#options.onGone?.(peer);
  }
}

function brokenText(peer: ProbedPeer): string {
  return (
    `TCP to ${nameOf(peer)} is lost in the VXLAN, while ping and UDP without a checksum are answered: ` +
    "a network card or something on the way gets checksums of tunnelled packets wrong. " +
    "Set checksumOffload: false in the network's Backend, so that the kernel computes them; " +
    "if TCP is lost even then, look for a firewall that drops all TCP"
  );
}

function nameOf({ host, underlay, address }: ProbedPeer): string {
  return `${host} (${formatAddress(underlay)}, VTEP ${formatAddress(address)})`;
}

function networkIn(netns: Netns | undefined): ProbeNetwork {
  const where = netns === undefined ? {} : { netns };
  return {
    ping: (addresses) => pingAll(addresses, { timeoutMs: PING_TIMEOUT_MS, ...where }),
    checksum: (address) => probeChecksum(address, { timeoutMs: CHECKSUM_TIMEOUT_MS, ...where }),
  };
}
