/**
 * Who has an address and port that several services claim. The API server sees to it that cluster IPs and node ports
 * are nobody else's, but anyone may write an external address into a service, also the address of another service.
 *
 * A cluster IP goes before an address of any other kind, then the older service before the younger one, then by
 * name: so the answer depends on the objects alone, and a newcomer takes nothing away.
 *
 * @module
 */

/** A service as far as claims go. */
export interface Claimant {
  /** `namespace/name`. */
  readonly key: string;
  /** ms since 1970; undefined for a service that is gone. */
  readonly createdAt: number | undefined;
  readonly clusterIPs: readonly string[];
}

interface Contest<T> {
  holder: T;
  /** All who want it, the holder too. */
  readonly claimants: Set<T>;
}

/** By frontend key (see table/frontends.ts). Only what is contested costs more than one entry. */
export class Claims<T extends Claimant> {
  readonly #single = new Map<string, T>();
  readonly #contests = new Map<string, Contest<T>>();
  readonly #moved: (claimant: T) => void;

  /** @param moved is called for a service that has won or lost something by another one's doing. */
  constructor(moved: (claimant: T) => void) {
    this.#moved = moved;
  }

  /** Claims, and tells who has it: `claimant` itself or the one that goes before it. */
  claim(key: string, claimant: T): T {
    const contest = this.#contests.get(key);
    if (contest !== undefined) return this.#contend(key, contest, claimant);
    const holder = this.#single.get(key);
    if (holder === claimant) return claimant;
    if (holder === undefined) {
      this.#single.set(key, claimant);
      return claimant;
    }
    this.#single.delete(key);
    const opened = { holder, claimants: new Set([holder]) };
    this.#contests.set(key, opened);
    return this.#contend(key, opened, claimant);
  }

  /** Who has it. */
  holder(key: string): T | undefined {
    return this.#single.get(key) ?? this.#contests.get(key)?.holder;
  }

  /** Gives up a claim, won or not; one that was never made is fine. */
  release(key: string, claimant: T): void {
    if (this.#single.get(key) === claimant) {
      this.#single.delete(key);
      return;
    }
    const contest = this.#contests.get(key);
    if (!contest?.claimants.delete(claimant)) return;
    const [first] = contest.claimants;
    if (contest.claimants.size === 1 && first !== undefined) {
      this.#contests.delete(key);
      this.#single.set(key, first);
      if (contest.holder === claimant) this.#moved(first);
    } else if (contest.holder === claimant) {
      this.#settle(key, contest, claimant);
    }
  }

  #contend(key: string, contest: Contest<T>, claimant: T): T {
    contest.claimants.add(claimant);
    if (contest.holder === claimant || precedes(claimant, contest.holder, key)) this.#settle(key, contest, claimant);
    return contest.holder;
  }

  /**
   * Finds the holder anew, among all: the one that was may be gone or have become younger, by having been deleted and
   * made again. Both are told, but for `asking`, who learns it by asking.
   */
  #settle(key: string, contest: Contest<T>, asking: T): void {
    const { holder: before, claimants } = contest;
    const [first = before, ...others] = claimants;
    const best = others.reduce((one, other) => (precedes(other, one, key) ? other : one), first);
    if (best === before) return;
    contest.holder = best;
    for (const concerned of [best, before]) if (concerned !== asking) this.#moved(concerned);
  }
}

function precedes(a: Claimant, b: Claimant, key: string): boolean {
  const privilege = Number(isClusterIP(b, key)) - Number(isClusterIP(a, key));
  if (privilege !== 0) return privilege < 0;
  const age = (a.createdAt ?? Number.POSITIVE_INFINITY) - (b.createdAt ?? Number.POSITIVE_INFINITY);
  return age < 0 || (!(age > 0) && a.key < b.key);
}

function isClusterIP({ clusterIPs }: Claimant, key: string): boolean {
  return clusterIPs.some((address) => key.startsWith(`${address} `));
}
