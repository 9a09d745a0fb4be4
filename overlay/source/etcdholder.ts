/**
 * Holds this host's subnet in etcd: takes one when it is claimed, renews it before its time is over, and writes it
 * again if somebody removed or changed it.
 *
 * Every look ends in a decision on what is known (`lease/choose.ts`) and at most one commit, whose conditions say that
 * what was known still holds. If it does not, the next event brings what is new, and the next look.
 *
 * @module
 */
import { Backoff } from "../../lib/daemon/backoff.ts";
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { isTsnetError, messageOf } from "../../lib/errors.ts";
import type { EtcdClient } from "../../lib/etcd/client.ts";
import type { Operation } from "../../lib/etcd/types.ts";
import { type Cidr, overlaps } from "../../lib/net/cidr.ts";
import { chooseSubnet, isReservation } from "../lease/choose.ts";
import { relationOf } from "../lease/identity.ts";
import { subnetKey } from "../lease/key.ts";
import { leaseOf, leaseText } from "../lease/lease.ts";
import { valuesOf } from "../parts.ts";
import type { Claim, Parts } from "../types.ts";
import { conditionsFor } from "./etcdconditions.ts";
import type { EtcdRecord, EtcdRecords } from "./etcdrecords.ts";
import type { OwnLease } from "./source.ts";

export interface HolderOptions {
  readonly records: EtcdRecords;
  readonly own: (answer: OwnLease) => void;
  /** Ms that a lease lasts, and before its end when it is renewed. */
  readonly ttl: number;
  readonly renewMargin: number;
  readonly replaceLease: boolean;
  readonly log: Log;
  readonly clock: Clock;
}

/** A lease of etcd's that our key ends with. */
interface Grant {
  readonly id: string;
  /** Ms since 1970, as we reckon it, for others to read. */
  readonly expires: number;
  /** The same by the clock that nobody sets; a host that sleeps may stop it. */
  readonly ends: number;
}

const LASTS = "0";
/** A timer of more than 24 days would end at once. */
const LONGEST_MS = 86_400_000;

export class EtcdHolder {
  readonly #options: HolderOptions;
  readonly #backoff = new Backoff({ firstMs: 200, maxMs: 5000 });
  #claim: Claim | undefined;
  #client: EtcdClient | undefined;
  /** What the present claim was given. */
  #held: Parts<Cidr> | undefined;
  #grant: Grant | undefined;
  #looking = false;
  #again = false;
  #callOff = () => {};
  #told = "";
  /** Whether it is held, as far as we know. */
  #settled = false;

  constructor(options: HolderOptions) {
    this.#options = options;
  }

  claim(claim: Claim): void {
    this.#claim = claim;
    this.#held = undefined;
    this.#told = "";
    this.look();
  }

  /** etcd can be asked; undefined: it cannot. What we hold may end meanwhile, and is taken again after. */
  connected(client: EtcdClient | undefined): void {
    this.#client = client;
    if (client !== undefined) this.look();
    else this.#callOff();
  }

  stop(): void {
    this.#claim = undefined;
    this.#client = undefined;
    this.#callOff();
  }

  /** A subnet's key has changed, which may have nothing to do with us. */
  changed(key: string): void {
    if (this.#concerns(key)) this.look();
  }

  /** Something has changed: compares what there is with what shall be, as soon as this turn is over. */
  look(): void {
    this.#after(0);
  }

  /** Where nothing is held, everything does. */
  #concerns(key: string): boolean {
    const [claim, held, one] = [this.#claim, this.#held, this.#options.records.at(key)];
    if (!this.#settled || held === undefined || claim === undefined || one === undefined) return true;
    const [ours, theirs] = [valuesOf(held), valuesOf(one.subnets)];
    if (ours.some((subnet) => theirs.some((other) => overlaps(subnet, other)))) return true;
    return one.record !== undefined && relationOf(one.record, claim) !== "other";
  }

  #after(ms: number): void {
    this.#callOff();
    this.#callOff = this.#options.clock.after(ms, () => this.#look());
  }

  #look(): void {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    this.#again = false;
    this.#decide()
      .then(
        () => this.#backoff.reset(),
        (error) => this.#failed(error),
      )
      .finally(() => {
        this.#looking = false;
        if (this.#again) this.look();
      });
  }

  #failed(error: unknown): void {
    // A lease that has ended between two questions is asked for anew.
    if (isTsnetError(error, "not-found")) this.#grant = undefined;
    if (this.#client === undefined) return;
    this.#options.log.warn("cannot write this host's lease: trying again", { reason: messageOf(error) });
    this.#after(this.#backoff.next());
  }

  async #decide(): Promise<void> {
    const { records, replaceLease } = this.#options;
    const [claim, client, config] = [this.#claim, this.#client, records.config];
    if (claim === undefined || client === undefined || config === undefined) return;
    this.#settled = false;
    const { found } = records;
    const choice = chooseSubnet({ config, found, claim, held: this.#held, replaceLease, random: Math.random });
    if (choice.kind === "shared") {
      this.#tell({ kind: "refused", reason: choice.reason });
      await this.#remove(client, choice.astray);
      return;
    }
    if (choice.kind !== "take") {
      this.#tell(choice);
      return;
    }
    const key = records.keyOf(subnetKey(choice.subnets));
    const own = choice.own.filter(({ remembered }) => !remembered);
    const there = own.find((one) => one.key === key);
    const superfluous = own.filter((one) => one !== there && !isReservation(one));
    const expires = await this.#write(client, claim, { key, there, superfluous, subnets: choice.subnets });
    if (this.#claim !== claim || expires === "changed") return;
    this.#held = choice.subnets;
    this.#settled = true;
    this.#tell({ kind: "held", lease: leaseOf(key, claim, choice.subnets), ...(expires && { expires }) });
    if (expires === undefined || this.#grant === undefined) return;
    this.#after(Math.min(LONGEST_MS, Math.max(0, this.#left(this.#grant) - this.#margin)));
  }

  /** Unless somebody has changed one of them. */
  async #remove(client: EtcdClient, all: readonly EtcdRecord[]): Promise<void> {
    const there = all.filter(({ remembered }) => !remembered);
    const revision = await client.commit(
      there.map(({ key, revision }) => ({ kind: "unchanged", key, revision })),
      there.map(({ key }) => ({ kind: "delete", key })),
    );
    if (revision !== undefined) for (const { key } of there) this.#options.records.deleted(key, revision);
  }

  /** Returns when the lease ends; undefined: never; `changed` if somebody was quicker. */
  async #write(client: EtcdClient, claim: Claim, wanted: Wanted): Promise<number | undefined | "changed"> {
    const { key, there, superfluous, subnets } = wanted;
    const { records } = this.#options;
    const text = leaseText(claim);
    const lasts = there?.lease === LASTS;
    const grant = lasts ? undefined : await this.#valid(client, there?.lease);
    const lease = grant?.id ?? LASTS;
    if (there?.text === text && there.lease === lease && superfluous.length === 0) return grant?.expires;
    const operations: Operation[] = [
      { kind: "put", key, text, lease },
      ...superfluous.map((one): Operation => ({ kind: "delete", key: one.key })),
    ];
    const conditions = conditionsFor({ key, there, superfluous, subnets, records });
    const revision = await client.commit(conditions, operations);
    if (revision === undefined) {
      // What made it so is on its way to us; if it was before our list, the next list tells.
      this.#after(this.#backoff.next());
      return "changed";
    }
    for (const one of superfluous) records.deleted(one.key, revision);
    records.put({ key, text, revision, lease });
    this.#options.log.debug(2, "wrote this host's lease", { key, revision });
    return grant?.expires;
  }

  /** A grant that is not about to end: ours, or the one that the key has, renewed; or a new one. */
  async #valid(client: EtcdClient, there: string | undefined): Promise<Grant> {
    const { clock, ttl } = this.#options;
    const asked = { wall: clock.wall(), now: clock.now() };
    const grant = this.#grant;
    if (grant !== undefined && this.#left(grant) > this.#margin && (there ?? grant.id) === grant.id) return grant;
    const seconds = Math.ceil(ttl / 1000);
    // One of an agent before us is kept if it lasts as long as ours would.
    const id = there ?? grant?.id;
    const renewed = id === undefined ? undefined : await client.renew(id);
    const lasting = renewed === seconds || id === grant?.id;
    if (id !== undefined && renewed !== undefined && lasting) return this.#keep(id, renewed, asked);
    const fresh = await client.grant(seconds);
    return this.#keep(fresh.id, fresh.seconds, asked);
  }

  #keep(id: string, seconds: number, { wall, now }: { readonly wall: number; readonly now: number }): Grant {
    this.#grant = { id, expires: wall + seconds * 1000, ends: now + seconds * 1000 };
    return this.#grant;
  }

  /** Ms, by the clock that says less: one may have been set back, the other may have stood. */
  #left({ expires, ends }: Grant): number {
    const { clock } = this.#options;
    return Math.min(expires - clock.wall(), ends - clock.now());
  }

  /** Ms; a margin as long as the lease would have it renewed without end. */
  get #margin(): number {
    const { ttl, renewMargin } = this.#options;
    return Math.min(renewMargin, (ttl * 2) / 3);
  }

  /** Once, unless it is a lease that goes on for longer. */
  #tell(answer: OwnLease): void {
    const text = JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? String(value) : value));
    if (text === this.#told) return;
    this.#told = text;
    this.#options.own(answer);
  }
}

interface Wanted {
  readonly key: string;
  readonly there: EtcdRecord | undefined;
  /** Others of ours, which go. */
  readonly superfluous: readonly EtcdRecord[];
  readonly subnets: Parts<Cidr>;
}
