/**
 * A client for one link: gets a lease and keeps it, through renewal (T1), rebinding (T2), refusals and silence, until it
 * is released or lost. RFC 2131, section 4.4, with two differences.
 *
 * A container's address cannot be changed under it: whoever attached it has told others. So after a refusal, or where
 * the other servers keep silent, a new lease is asked for, but only the same address is taken; what is in vain until
 * the lease ends is lost. And what is sent to the server itself goes to the link address that its last answer came
 * from, which works while the kernel knows of no address yet, or no more.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../errors.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { formatCidr } from "../net/cidr.ts";
import { isFailedTry, negotiate, newXid, type Prolonged, prolong, type Speaker } from "./dialogue.ts";
import type { Lease } from "./lease.ts";
import { encodeMessage } from "./message.ts";
import { datagramOf, type Means, type Route, TO_EVERYBODY, type Wire } from "./question.ts";
import { type Client, release } from "./requests.ts";
import { pauses, sleepUntil } from "./waiting.ts";

/** All in ms. */
export interface Times {
  /** For the answer to one request. */
  readonly timeout: number;
  /** About the longest wait between two tries. */
  readonly resendMax: number;
  /** For a lease as a whole. */
  readonly resendTimeout: number;
}

/** Who is told what becomes of the lease. */
export interface LeaseWatcher {
  /** There is one, or it was prolonged. */
  bound(lease: Lease): void;
  /** The address is not ours any more. */
  lost(reason: string): void;
  /** The link is not there any more. */
  gone(reason: string): void;
  note(message: string): void;
}

export interface KeeperOptions extends Means {
  readonly client: Client;
  readonly times: Times;
  readonly watcher: LeaseWatcher;
}

export class LeaseKeeper {
  readonly #options: KeeperOptions;
  readonly #speaker: Speaker;
  readonly #stop = new AbortController();
  #lease: Lease | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#speaker = { ...options, timeout: options.times.timeout, signal: this.#stop.signal };
  }

  /** The lease that is kept; undefined before there is one and after it was lost. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /**
   * Gets a lease, tells the watcher, and keeps it from then on.
   *
   * @throws TsnetError `timeout` if no server gave one in time; what opening the link throws; `io` if it is
   * stopped.
   */
  async acquire(): Promise<Lease> {
    const { clock, random, times, watcher } = this.#options;
    const until = clock.now() + times.resendTimeout;
    const waits = pauses(times.resendMax, random);
    for (;;) {
      const { value: pause } = waits.next();
      try {
        return this.#keep(await negotiate(this.#speaker, until));
      } catch (error) {
        if (!isFailedTry(error)) throw error;
        watcher.note(messageOf(error));
        if (clock.now() + pause >= until) throw tooLate(times.resendTimeout, error);
      }
      await sleepUntil(clock.now() + pause, clock, this.#stop.signal);
    }
  }

  /** Keeps a lease that an earlier process got. */
  resume(lease: Lease): void {
    this.#lease = lease;
    void this.#maintain(lease);
  }

  /** Ends it; the server is not told. Whoever waits for a lease gets a TsnetError `io`. */
  stop(): void {
    this.#stop.abort(new TsnetError("given up: the lease is not wanted any more", { code: "io", op: "DHCP" }));
  }

  /**
   * Ends it and gives the address back.
   *
   * @param otherWay takes the message to the server where the link is gone.
   * @throws TsnetError if the message cannot be sent.
   */
  release(otherWay?: (message: Uint8Array, server: Address) => void): void {
    const lease = this.#lease;
    this.stop();
    this.#lease = undefined;
    if (lease === undefined) return;
    const { client, open, random } = this.#options;
    const message = release(client, newXid(random), lease);
    let wire: Wire;
    try {
      wire = open(() => {});
    } catch (error) {
      if (otherWay === undefined || !isTsnetError(error, "not-found")) throw error;
      otherWay(encodeMessage(message), lease.server);
      return;
    }
    try {
      const route = routeTo(lease);
      wire.send(datagramOf(message, route), route.link);
    } finally {
      wire.close();
    }
  }

  #keep(lease: Lease): Lease {
    this.#lease = lease;
    this.#options.watcher.bound(lease);
    void this.#maintain(lease);
    return lease;
  }

  async #maintain(first: Lease): Promise<void> {
    const { clock, watcher } = this.#options;
    const { signal } = this.#stop;
    try {
      for (let lease: Lease | undefined = first; lease !== undefined; lease = await this.#prolong(lease)) {
        if (lease !== first) {
          this.#lease = lease;
          watcher.bound(lease);
        }
        await sleepUntil(lease.renewAt, clock, signal);
      }
      this.#lease = undefined;
      watcher.lost(`the lease of ${formatCidr(first.address)} ended, and no server gave it again`);
    } catch (error) {
      if (signal.aborted) return;
      this.#lease = undefined;
      watcher.gone(messageOf(error));
    }
  }

  /** The lease anew; undefined if it ended meanwhile. */
  async #prolong(lease: Lease): Promise<Lease | undefined> {
    const address = formatAddress(lease.address.address);
    const asked = await this.#phase(lease.rebindAt, () => this.#renew(lease));
    if (typeof asked === "object") return asked;
    const { watcher } = this.#options;
    if (asked === "silence")
      watcher.note(`server ${formatAddress(lease.server)} does not answer: asking any for ${address}`);
    const rebound = asked === "refused" ? asked : await this.#phase(lease.expiresAt, () => this.#rebind(lease));
    if (typeof rebound === "object") return rebound;
    if (rebound === "silence") return undefined;
    watcher.note(`${address} was refused: asking for it anew`);
    const regained = await this.#phase(lease.expiresAt, () => this.#regain(lease));
    return typeof regained === "object" ? regained : undefined;
  }

  /** Tries until it has another outcome than silence, or the moment `end` has come. */
  async #phase(end: number, attempt: () => Promise<Prolonged>): Promise<Prolonged> {
    const { clock, random, times } = this.#options;
    for (const pause of pauses(times.resendMax, random)) {
      if (clock.now() >= end) break;
      const outcome = await this.#attempted(attempt);
      if (outcome !== "silence") return outcome;
      await sleepUntil(Math.min(end, clock.now() + pause), clock, this.#stop.signal);
    }
    return "silence";
  }

  /** Only that the link is gone, or that we were stopped, ends it all: whatever else fails may go better next time. */
  async #attempted(attempt: () => Promise<Prolonged>): Promise<Prolonged> {
    try {
      return await attempt();
    } catch (error) {
      if (this.#stop.signal.aborted || isTsnetError(error, "not-found")) throw error;
      this.#options.watcher.note(messageOf(error));
      return "silence";
    }
  }

  #renew(lease: Lease): Promise<Prolonged> {
    const { server, rebindAt } = lease;
    const note = this.#options.watcher.note;
    return prolong(this.#speaker, { lease, route: routeTo(lease), server, end: rebindAt }, note);
  }

  /** Any server, by the address; then by a new lease, for those that do not know of the old one. */
  async #rebind(lease: Lease): Promise<Prolonged> {
    const { clock, watcher } = this.#options;
    const route = { ...TO_EVERYBODY, from: lease.address.address };
    const half = clock.now() + (lease.expiresAt - clock.now()) / 2;
    const asked = await prolong(this.#speaker, { lease, route, end: half }, watcher.note);
    return asked === "silence" ? this.#regain(lease) : asked;
  }

  /** A new lease of the same address. */
  async #regain(lease: Lease): Promise<Prolonged> {
    const again = await negotiate(this.#speaker, lease.expiresAt, lease.address.address);
    return { ...again, options: new Map([...lease.options, ...again.options]) };
  }
}

function routeTo({ address, server, via }: Lease): Route {
  return { from: address.address, to: server, link: via };
}

function tooLate(ms: number, last: TsnetError): TsnetError {
  return new TsnetError(`no more tries after ${ms / 1000} s: ${last.message}`, {
    code: "timeout",
    op: "DHCP",
    cause: last,
  });
}
