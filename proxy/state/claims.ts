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
  /** What the holder's claim rested on when it got it. */
  title: Title;
  /** All who want it, the holder too. */
  readonly claimants: Set<T>;
}

interface Title {
  readonly createdAt: number | undefined;
  readonly privileged: boolean;
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
    const opened = { holder, title: titleOf(holder, key), claimants: new Set([holder]) };
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
    const { createdAt, privileged } = titleOf(contest.holder, key);
    if (contest.title.createdAt !== createdAt || contest.title.privileged !== privileged) {
      // It is gone or was made again, and may be behind others than this one.
      this.#settle(key, contest, claimant);
    } else if (contest.holder !== claimant && precedes(claimant, contest.holder, key)) {
      this.#crown(key, contest, claimant, claimant);
    }
    return contest.holder;
  }

  /** Finds the holder anew, among all. */
  #settle(key: string, contest: Contest<T>, asking: T): void {
    const [first = contest.holder, ...others] = contest.claimants;
    const best = others.reduce((one, other) => (precedes(other, one, key) ? other : one), first);
    this.#crown(key, contest, best, asking);
  }

  /** Both the new and the old holder are told, but for `asking`, who learns it by asking. */
  #crown(key: string, contest: Contest<T>, best: T, asking: T): void {
    const before = contest.holder;
    contest.holder = best;
    contest.title = titleOf(best, key);
    if (best === before) return;
    for (const concerned of [best, before]) if (concerned !== asking) this.#moved(concerned);
  }
}

function precedes(a: Claimant, b: Claimant, key: string): boolean {
  const [one, other] = [titleOf(a, key), titleOf(b, key)];
  if (one.privileged !== other.privileged) return one.privileged;
  const [mine, yours] = [one.createdAt ?? Number.POSITIVE_INFINITY, other.createdAt ?? Number.POSITIVE_INFINITY];
  return mine < yours || (mine === yours && a.key < b.key);
}

function titleOf({ createdAt, clusterIPs }: Claimant, key: string): Title {
  const privileged = clusterIPs.some((address) => key.charAt(address.length) === " " && key.startsWith(address));
  return { createdAt, privileged };
}
