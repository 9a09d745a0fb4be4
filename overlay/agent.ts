/**
 * The agent's story: from what the source tells to what the kernel holds and other programs read.
 *
 *     Source → Agent → Roster (who is in) → Fabric (devices, routes, neighbours, FDB)
 *                    → Protection (the host's packet filter) → Publisher (subnet.env, conflist, state)
 *     Lookout (kernel events, comparisons) → Fabric, Protection, and Agent where the underlay has changed
 *
 * Nothing is taken back because something is not known: a source that is away, an underlay that is down, a lease that
 * somebody else has. The kernel's state outlives the agent, and the next one adopts it.
 *
 * @module
 */

import type { Clock } from "../lib/daemon/clock.ts";
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import type { Family } from "../lib/net/address.ts";
import { type Cidr, formatCidr, sameCidr } from "../lib/net/cidr.ts";
import type { AgentTrouble } from "../lib/overlay/state.ts";
import type { Fabric, FabricReport } from "./kernel/fabric.ts";
import type { OverlayMetrics } from "./metrics.ts";
import { FAMILIES, pickParts, valuesOf } from "./parts.ts";
import { Roster } from "./roster.ts";
import type { OwnLease, Source, SourceEvents } from "./source/source.ts";
import type { Claim, Lease, NetworkConfig, Parts, Underlay } from "./types.ts";

/** What the world is told of. */
export interface AgentView {
  readonly connected: boolean;
  readonly network: NetworkConfig | undefined;
  readonly underlay: Underlay | undefined;
  readonly own: Lease | undefined;
  readonly peers: readonly Lease[];
  /** Records and leases that are not used, and what of a peer the kernel refused: by key, with the reason. */
  readonly refused: ReadonlyMap<string, string>;
  readonly trouble: AgentTrouble | undefined;
}

export interface AgentOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly source: Source;
  readonly fabric: Fabric;
  readonly metrics: OverlayMetrics;
  readonly blackholeRoute: boolean;
  /** The containers'. */
  readonly bridge: string;
  /** `now`: the one that we stand on. @throws TsnetError `not-found` if no interface will do. */
  readonly chooseUnderlay: (families: readonly Family[], now: Underlay | undefined) => Underlay;
  /** What this host offers by that underlay. @throws TsnetError for what keeps it from being known. */
  readonly claimOf: (network: NetworkConfig, underlay: Underlay, own: Lease | undefined) => Claim;
  /** Lets the packet filter follow; resolves when it did, or with false if it could not. */
  readonly protect: (network: NetworkConfig, own: Lease) => Promise<boolean>;
  /** Writes what containers are attached by. */
  readonly publish: (network: NetworkConfig, own: Lease, mtu: number) => void;
  /** Something of {@link Agent.view} has changed. */
  readonly tell: (urgent: boolean) => void;
}

const UNDERLAY_RETRY_MS = 1000;
const RETRY_MS = 5000;

export class Agent implements SourceEvents {
  readonly #options: AgentOptions;
  readonly #ended = Promise.withResolvers<number>();
  #stopped = false;
  #network: NetworkConfig | undefined;
  #underlay: Underlay | undefined;
  /** All that the source told, ours too; undefined until it did. */
  #leases: Map<string, Lease> | undefined;
  readonly #malformed = new Map<string, string>();
  /** Our lease as it was told. */
  #held: Lease | undefined;
  /** The same with the families that the network has, once the kernel was asked to follow. */
  #own: Lease | undefined;
  #roster: Roster | undefined;
  #failures: ReadonlyMap<string, string> = new Map();
  #connected = false;
  /** What the source has against our subnets: stays until it gives them, whatever becomes of the rest. */
  #denied: AgentTrouble | undefined;
  #callOffStand = () => {};
  #trouble: AgentTrouble | undefined = { code: 50, message: "the overlay's agent is starting: try again" };
  /** What was last logged of a kind, so that it is said once. */
  readonly #said = new Map<string, string>();
  #protecting = Promise.resolve();

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** Resolves with the exit code if the agent cannot go on as it is. */
  get ended(): Promise<number> {
    return this.#ended.promise;
  }

  get view(): AgentView {
    return {
      connected: this.#connected,
      network: this.#network,
      underlay: this.#underlay,
      own: this.#own,
      peers: this.#roster?.peers ?? [],
      refused: this.#refusals(),
      trouble: this.#trouble,
    };
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * A record that is spoilt has its own reason, whatever is said of the lease that it held before: that is what
   * somebody has to correct.
   */
  #refusals(): ReadonlyMap<string, string> {
    const all = new Map([...this.#malformed, ...this.#kernelRefusals(), ...(this.#roster?.refused ?? [])]);
    for (const [key, reason] of this.#malformed) all.set(key, reason);
    return all;
  }

  /** The kernel's part of {@link view}: what it refused of this host itself has no peer's key. */
  #kernelRefusals(): readonly (readonly [string, string])[] {
    return [...this.#failures].map(([key, reason]) => [key === "" ? "this host" : key, reason]);
  }

  // What the source tells.

  network(network: NetworkConfig): void {
    if (this.#network === undefined) {
      this.#network = network;
      this.stand();
    } else if (!Bun.deepEquals(network, this.#network)) {
      this.#options.log.info("the network's configuration has changed: ending, to be started anew with it");
      // What follows is of the new network, and would be measured by the old one.
      this.#stopped = true;
      this.#ended.resolve(1);
    }
  }

  leases(all: readonly Lease[]): void {
    if (this.#stopped) return;
    this.#leases = new Map(all.map((lease) => [lease.key, lease]));
    this.#malformed.clear();
    if (this.#roster === undefined) {
      this.#bring();
      return;
    }
    this.#roster.replace(all);
    this.#report(this.#options.fabric.replace(this.#roster.peers));
    this.#peersChanged();
  }

  changed(lease: Lease): void {
    if (this.#stopped) return;
    this.#leases?.set(lease.key, lease);
    this.#malformed.delete(lease.key);
    this.#follow(this.#roster?.upsert(lease));
  }

  gone(key: string): void {
    if (this.#stopped) return;
    this.#leases?.delete(key);
    this.#malformed.delete(key);
    this.#follow(this.#roster?.remove(key));
  }

  malformed(key: string, reason: string): void {
    if (this.#stopped) return;
    this.#malformed.set(key, reason);
    this.#options.log.warn("a record that cannot be read: what it held before stays", { key, reason });
    if (this.#network === undefined) this.#wait(reason);
    this.#peersChanged();
  }

  own(answer: OwnLease): void {
    if (this.#stopped) return;
    switch (answer.kind) {
      case "held":
        this.#hold(answer.lease, answer.expires);
        break;
      case "taken":
        this.#lost({ code: 51, message: takenText(answer.subnets, answer.holder) });
        this.#letGoLater(this.#denied);
        break;
      case "refused":
        this.#lost({ code: this.#roster === undefined ? 50 : 51, message: answer.reason });
    }
  }

  connection(up: boolean, reason = ""): void {
    const { log, source, metrics } = this.#options;
    this.#connected = up;
    metrics.connected(up);
    if (up) this.#sayOnce("connection", "", () => log.info("hearing of changes", { source: source.name }));
    else {
      const fields = { source: source.name, reason };
      this.#sayOnce("connection", reason, () => log.warn("no changes are heard of: everything stays as it is", fields));
      const what = reason.includes(source.name) ? reason : `for ${source.name}: ${reason}`;
      if (this.#network === undefined) this.#wait(`the overlay's agent waits ${what}`);
    }
    this.#options.tell(false);
  }

  // What follows.

  /** Finds the interface that we stand on, at first and whenever links, addresses or routes have changed. */
  stand(): void {
    const network = this.#network;
    if (network === undefined || this.#stopped) return;
    this.#callOffStand();
    const { source, log } = this.#options;
    const found = this.#look(network);
    if (found === undefined) {
      this.#callOffStand = this.#options.clock.after(UNDERLAY_RETRY_MS, () => this.stand());
      return;
    }
    const { underlay, claim } = found;
    if (claim === undefined) return;
    log.info("underlay", { interface: underlay.name, mtu: underlay.mtu });
    this.#underlay = underlay;
    source.claim(claim);
    this.#bring();
  }

  /** The underlay, and what we claim by it if it is another than before; undefined if it is not to be known yet. */
  #look(network: NetworkConfig): { readonly underlay: Underlay; readonly claim: Claim | undefined } | undefined {
    const { chooseUnderlay, claimOf, log } = this.#options;
    let what = "no interface leads to the other hosts yet";
    try {
      const families = FAMILIES.filter((family) => network.networks[family] !== undefined);
      const underlay = chooseUnderlay(families, this.#underlay);
      what = "what this host offers to the others is not known yet";
      const claim = Bun.deepEquals(underlay, this.#underlay) ? undefined : claimOf(network, underlay, this.#held);
      this.#said.delete("underlay");
      return { underlay, claim };
    } catch (error) {
      const reason = messageOf(error);
      this.#sayOnce("underlay", reason, () => log.warn(what, { reason }));
      if (this.#underlay === undefined) this.#wait(reason);
      return undefined;
    }
  }

  #hold(lease: Lease, expires: number | undefined): void {
    const { log, metrics } = this.#options;
    metrics.leaseExpires(expires);
    this.#denied = undefined;
    const again = Bun.deepEquals(lease, this.#held);
    if (again && this.#trouble === undefined) return;
    if (this.#cutsOff(lease)) return;
    if (!again)
      log.info("our subnets", {
        subnets: valuesOf(lease.parts)
          .map(({ subnet }) => formatCidr(subnet))
          .join(","),
      });
    this.#held = lease;
    if (!again) this.#roster = undefined;
    this.#bring();
  }

  /**
   * Whether it is another subnet than containers of this host have addresses of, who may have come since we claimed
   * one. Then we claim theirs, and the source answers that.
   */
  #cutsOff({ parts }: Lease): boolean {
    const [network, underlay, own] = [this.#network, this.#underlay, this.#own];
    if (network === undefined || underlay === undefined || own === undefined) return false;
    const same = FAMILIES.every((family) => {
      const [before, now] = [own.parts[family]?.subnet, parts[family]?.subnet];
      return before === undefined || (now !== undefined && sameCidr(before, now));
    });
    if (same) return false;
    const { claimOf, source, log } = this.#options;
    try {
      const claim = claimOf(network, underlay, own);
      if (claim.pinned) source.claim(claim);
      return claim.pinned;
    } catch (error) {
      log.error("our subnets stay: whether containers have addresses of them is not known", {
        reason: messageOf(error),
      });
      return true;
    }
  }

  /** No subnet is ours for now. What the kernel has stays: containers that are there go on as well as they can. */
  #lost(trouble: AgentTrouble): void {
    this.#denied = trouble;
    this.#options.metrics.leaseExpires(undefined);
    this.#options.source.ready(false);
    this.#troubled(trouble);
  }

  #letGoLater(denied: AgentTrouble | undefined): void {
    this.#options.clock.after(RETRY_MS, () => this.#letGo(denied));
  }

  /** Once the last container that had an address of what is taken is gone, any subnet will do. */
  #letGo(denied: AgentTrouble | undefined): void {
    const [network, underlay] = [this.#network, this.#underlay];
    if (this.#stopped || this.#denied !== denied || network === undefined || underlay === undefined) return;
    const { source, claimOf, log } = this.#options;
    try {
      const claim = claimOf(network, underlay, this.#held);
      if (!claim.pinned) {
        source.claim(claim);
        return;
      }
    } catch (error) {
      log.warn("whether containers have addresses of our subnets is not known yet", { reason: messageOf(error) });
    }
    this.#letGoLater(denied);
  }

  /** As soon as all is known that it takes: makes the kernel so, then the packet filter, then tells others. */
  #bring(): void {
    const [network, underlay, held, leases] = [this.#network, this.#underlay, this.#held, this.#leases];
    if (network === undefined || underlay === undefined || held === undefined || leases === undefined) return;
    const own = { ...held, parts: pickParts(held.parts, network.networks) };
    if (valuesOf(own.parts).length === 0) {
      this.#lost({ code: 50, message: `${held.host}, this host, is given no subnet of a family that the network has` });
      return;
    }
    this.#own = own;
    const { fabric, log, clock, blackholeRoute, bridge } = this.#options;
    try {
      this.#report(fabric.configure({ backend: network.backend, underlay, own: own.parts, blackholeRoute, bridge }));
      this.#roster ??= new Roster({ networks: network.networks, backend: network.backend, own });
      this.#roster.replace([...leases.values()]);
      this.#report(fabric.replace(this.#roster.peers));
    } catch (error) {
      const reason = messageOf(error);
      this.#sayOnce("bring", reason, () => log.error("the kernel does not take the network", { reason }));
      this.#wait(reason);
      clock.after(RETRY_MS, () => this.#bringIfStill(own));
      return;
    }
    this.#said.delete("bring");
    this.#peersChanged();
    this.#protecting = this.#protecting.then(() => this.#open(network, own));
  }

  #bringIfStill(own: Lease): void {
    if (!this.#stopped && this.#own === own) this.#bring();
  }

  /** Containers may come, once the packet filter lets them through. */
  async #open(network: NetworkConfig, own: Lease): Promise<void> {
    const { protect, publish, source, fabric, log, clock } = this.#options;
    const done = await protect(network, own);
    if (this.#stopped || this.#own !== own) return;
    if (this.#denied !== undefined) {
      this.#troubled(this.#denied);
      return;
    }
    if (!done && this.#trouble !== undefined) {
      this.#wait("the host's packet filter does not take the overlay's rules: see the agent's log");
      clock.after(RETRY_MS, () => this.#bringIfStill(own));
      return;
    }
    try {
      publish(network, own, fabric.mtu);
    } catch (error) {
      log.error("cannot tell others of the network", { reason: messageOf(error) });
      this.#wait(messageOf(error));
      clock.after(RETRY_MS, () => this.#bringIfStill(own));
      return;
    }
    if (this.#trouble !== undefined) log.info("ready", { mtu: fabric.mtu, peers: this.#roster?.peers.length ?? 0 });
    this.#trouble = undefined;
    source.ready(true);
    this.#options.tell(true);
  }

  #follow(change: ReturnType<Roster["remove"]> | undefined): void {
    if (change === undefined) return;
    const { fabric } = this.#options;
    for (const key of change.removed) this.#report(fabric.remove(key), key);
    for (const lease of change.upserted) this.#report(fabric.upsert(lease), lease.key);
    this.#peersChanged();
  }

  /** What the kernel refused of one peer, or of all. */
  #report({ failures, repairs }: FabricReport, key?: string): void {
    const before = key === undefined ? [] : [...this.#failures].filter(([other]) => other !== key);
    this.#failures = new Map([...before, ...failures]);
    for (const [peer, reason] of failures)
      this.#options.log.error("the kernel refuses a peer's entries", { peer, reason });
    // What was found at a start is no damage: somebody left or came while nobody looked.
    for (const { kind, object, found } of repairs) this.#options.log.debug(2, "brought", { kind, object, found });
  }

  /** A comparison with the kernel, or its events, led to that. */
  repaired({ failures, repairs }: FabricReport): void {
    const { log, metrics } = this.#options;
    for (const { kind, object, found } of repairs) {
      log.warn("repaired", { kind, object, found });
      metrics.repaired(kind, 1);
    }
    if (Bun.deepEquals(failures, this.#failures)) return;
    for (const [peer, reason] of failures) {
      if (this.#failures.get(peer) !== reason)
        log.error("the kernel refuses a repair", { of: peer || "this host", reason });
    }
    this.#failures = failures;
    this.#peersChanged();
  }

  #peersChanged(): void {
    const { metrics, log, tell } = this.#options;
    const { peers, refused } = this.view;
    metrics.peers(peers.length);
    metrics.refused(refused.size);
    for (const [key, reason] of this.#roster?.refused ?? []) {
      this.#sayOnce(`lease ${key}`, reason, () => log.warn("a lease is left out", { key, reason }));
    }
    tell(false);
  }

  #wait(message: string): void {
    this.#troubled({ code: this.#roster === undefined ? 50 : 51, message });
  }

  #troubled(trouble: AgentTrouble): void {
    const { log, tell } = this.#options;
    this.#sayOnce("trouble", trouble.message, () => log.error("not ready", { reason: trouble.message }));
    this.#trouble = trouble;
    tell(true);
  }

  #sayOnce(kind: string, text: string, say: () => void): void {
    if (this.#said.get(kind) === text) return;
    this.#said.set(kind, text);
    say();
  }
}

function takenText(subnets: Parts<Cidr>, holder: string): string {
  return (
    `${valuesOf(subnets).map(formatCidr).join(" and ")}, which containers of this host have addresses of, is held by ` +
    `${holder}: packets to them may go astray. It is taken back when it is free; once the containers are gone ` +
    "another is taken"
  );
}
