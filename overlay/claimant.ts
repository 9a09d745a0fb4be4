/**
 * Where this host stands on the underlay, and what it asks of the source for that: at first, whenever the underlay has
 * changed, and whenever containers make one subnet better than another.
 *
 * @module
 */
import type { Clock } from "../lib/daemon/clock.ts";
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import type { Family } from "../lib/net/address.ts";
import { sameCidr } from "../lib/net/cidr.ts";
import { FAMILIES } from "./parts.ts";
import { Sayings } from "./sayings.ts";
import type { Source } from "./source/source.ts";
import type { Claim, Lease, NetworkConfig, Underlay } from "./types.ts";

export interface ClaimantOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly source: Pick<Source, "claim">;
  /** `now`: the one that we stand on. @throws TsnetError `not-found` if no interface will do. */
  readonly chooseUnderlay: (families: readonly Family[], now: Underlay | undefined) => Underlay;
  /** What this host offers by that underlay. @throws TsnetError for what keeps it from being known. */
  readonly claimOf: (network: NetworkConfig, underlay: Underlay, own: Lease | undefined) => Claim;
  /** The underlay is another than before, and claimed by. */
  readonly stands: () => void;
  /** There is none yet. */
  readonly waits: (reason: string) => void;
}

const UNDERLAY_RETRY_MS = 1000;
const LET_GO_MS = 5000;

export class Claimant {
  readonly #options: ClaimantOptions;
  readonly #sayings = new Sayings();
  #network: NetworkConfig | undefined;
  #underlay: Underlay | undefined;
  /** The lease that we hold. */
  held: Lease | undefined;
  #callOff = () => {};
  #callOffLetGo = () => {};

  constructor(options: ClaimantOptions) {
    this.#options = options;
  }

  get underlay(): Underlay | undefined {
    return this.#underlay;
  }

  begin(network: NetworkConfig): void {
    this.#network = network;
    this.stand();
  }

  stop(): void {
    this.#callOff();
    this.#callOffLetGo();
    this.#network = undefined;
  }

  /** Finds the interface that we stand on, at first and whenever links, addresses or routes have changed. */
  stand(): void {
    if (this.#network === undefined) return;
    this.#callOff();
    const { source, log, clock, stands } = this.#options;
    const found = this.#look(this.#network);
    if (found === undefined) {
      this.#callOff = clock.after(UNDERLAY_RETRY_MS, () => this.stand());
      return;
    }
    const { underlay, claim } = found;
    if (claim === undefined) return;
    log.info("underlay", { interface: underlay.name, mtu: underlay.mtu });
    this.#underlay = underlay;
    source.claim(claim);
    stands();
  }

  /** The underlay, and what we claim by it if it is another than before; undefined if it is not to be known yet. */
  #look(network: NetworkConfig): { readonly underlay: Underlay; readonly claim: Claim | undefined } | undefined {
    const { chooseUnderlay, claimOf, log, waits } = this.#options;
    let what = "no interface leads to the other hosts yet";
    try {
      const families = FAMILIES.filter((family) => network.networks[family] !== undefined);
      const underlay = chooseUnderlay(families, this.#underlay);
      what = "what this host offers to the others is not known yet";
      const claim = Bun.deepEquals(underlay, this.#underlay) ? undefined : claimOf(network, underlay, this.held);
      this.#sayings.forget("underlay");
      return { underlay, claim };
    } catch (error) {
      const reason = messageOf(error);
      this.#sayings.once("underlay", reason, () => log.warn(what, { reason }));
      if (this.#underlay === undefined) waits(reason);
      return undefined;
    }
  }

  /**
   * Whether the lease is another subnet than containers of this host have addresses of, who may have come since we
   * claimed one. Then we claim theirs, and the source answers that.
   */
  cutsOff(lease: Lease, own: Lease | undefined): boolean {
    if (own === undefined) return false;
    const same = FAMILIES.every((family) => {
      const [before, now] = [own.parts[family]?.subnet, lease.parts[family]?.subnet];
      return before === undefined || (now !== undefined && sameCidr(before, now));
    });
    if (same) return false;
    const claim = this.#claim(own);
    // Nobody knows: they stay.
    if (claim === undefined) return true;
    if (claim.pinned) this.#options.source.claim(claim);
    return claim.pinned;
  }

  /** Our subnet is somebody else's. Once the last container that had an address of it is gone, any other will do. */
  letGoLater(): void {
    this.#callOffLetGo();
    this.#callOffLetGo = this.#options.clock.after(LET_GO_MS, () => {
      const claim = this.#claim(this.held);
      if (claim?.pinned === false) this.#options.source.claim(claim);
      else this.letGoLater();
    });
  }

  /** The source has answered anew: see {@link letGoLater}. */
  keep(): void {
    this.#callOffLetGo();
  }

  #claim(own: Lease | undefined): Claim | undefined {
    const { claimOf, log } = this.#options;
    if (this.#network === undefined || this.#underlay === undefined) return undefined;
    try {
      return claimOf(this.#network, this.#underlay, own);
    } catch (error) {
      const reason = messageOf(error);
      log.error("our subnets stay: whether containers have addresses of them is not known", { reason });
      return undefined;
    }
  }
}
