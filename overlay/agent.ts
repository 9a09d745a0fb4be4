/**
 * The agent's story: from what the source tells to what the kernel holds and other programs read.
 *
 *     Source → Agent → Claimant (underlay, what we ask for) → Source
 *                    → Peers (who is in) → Fabric (devices, routes, neighbours, FDB)
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
import { type Cidr, formatCidr } from "../lib/net/cidr.ts";
import type { AgentTrouble } from "../lib/overlay/state.ts";
import { Claimant } from "./claimant.ts";
import type { Fabric, FabricReport } from "./kernel/fabric.ts";
import type { OverlayMetrics } from "./metrics.ts";
import { pickParts, valuesOf } from "./parts.ts";
import { Peers } from "./peers.ts";
import { Sayings } from "./sayings.ts";
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

const RETRY_MS = 5000;

export class Agent implements SourceEvents {
  readonly #options: AgentOptions;
  readonly #ended = Promise.withResolvers<number>();
  readonly #claimant: Claimant;
  readonly #peers: Peers;
  readonly #sayings = new Sayings();
  #stopped = false;
  #network: NetworkConfig | undefined;
  /** Our lease with the families that the network has, once the kernel was asked to follow. */
  #own: Lease | undefined;
  #connected = false;
  /** What the source has against our subnets: stays until it gives them, whatever becomes of the rest. */
  #denied: AgentTrouble | undefined;
  #trouble: AgentTrouble | undefined = { code: 50, message: "the overlay's agent is starting: try again" };
  #opening = Promise.resolve();

  constructor(options: AgentOptions) {
    this.#options = options;
    const { log, clock, source, fabric, metrics, chooseUnderlay, claimOf, tell } = options;
    this.#peers = new Peers({ log, fabric, metrics, changed: () => tell(false) });
    this.#claimant = new Claimant({
      ...{ log, clock, source, chooseUnderlay, claimOf },
      stands: () => this.#bring(),
      waits: (reason) => this.#wait(reason),
    });
  }

  /** Resolves with the exit code if the agent cannot go on as it is. */
  get ended(): Promise<number> {
    return this.#ended.promise;
  }

  get view(): AgentView {
    return {
      connected: this.#connected,
      network: this.#network,
      underlay: this.#claimant.underlay,
      own: this.#own,
      peers: this.#peers.all,
      refused: this.#peers.refused,
      trouble: this.#trouble,
    };
  }

  stop(): void {
    this.#stopped = true;
    this.#claimant.stop();
  }

  /** Links, addresses or routes have changed by which the underlay is chosen. */
  stand(): void {
    if (!this.#stopped) this.#claimant.stand();
  }

  /** A comparison with the kernel, or its events, led to that. */
  repaired(report: FabricReport): void {
    this.#peers.repaired(report);
  }

  // What the source tells.

  network(network: NetworkConfig): void {
    if (this.#network === undefined) {
      this.#network = network;
      this.#claimant.begin(network);
    } else if (!Bun.deepEquals(network, this.#network)) {
      this.#options.log.info("the network's configuration has changed: ending, to be started anew with it");
      // What follows is of the new network, and would be measured by the old one.
      this.stop();
      this.#ended.resolve(1);
    }
  }

  leases(all: readonly Lease[]): void {
    if (this.#stopped) return;
    this.#peers.replace(all);
    if (!this.#peers.entered) this.#bring();
  }

  changed(lease: Lease): void {
    if (!this.#stopped) this.#peers.upsert(lease);
  }

  gone(key: string): void {
    if (!this.#stopped) this.#peers.remove(key);
  }

  malformed(key: string, reason: string): void {
    if (this.#stopped) return;
    if (this.#network === undefined) this.#wait(reason);
    this.#peers.malformed(key, reason);
  }

  own(answer: OwnLease): void {
    if (this.#stopped) return;
    this.#claimant.keep();
    switch (answer.kind) {
      case "held":
        this.#hold(answer.lease, answer.expires);
        break;
      case "taken":
        this.#lost({ code: 51, message: takenText(answer.subnets, answer.holder) });
        this.#claimant.letGoLater();
        break;
      case "refused":
        this.#lost({ code: this.#peers.entered ? 51 : 50, message: answer.reason });
    }
  }

  connection(up: boolean, reason = ""): void {
    const { log, source, metrics, tell } = this.#options;
    this.#connected = up;
    metrics.connected(up);
    this.#sayings.once("connection", up ? "" : reason, () => {
      if (up) log.info("hearing of changes", { source: source.name });
      else log.warn("no changes are heard of: everything stays as it is", { source: source.name, reason });
    });
    if (!up && this.#network === undefined) {
      const what = reason.includes(source.name) ? reason : `for ${source.name}: ${reason}`;
      this.#wait(`the overlay's agent waits ${what}`);
    }
    tell(false);
  }

  // What follows.

  #hold(lease: Lease, expires: number | undefined): void {
    const { log, metrics } = this.#options;
    metrics.leaseExpires(expires);
    this.#denied = undefined;
    const again = Bun.deepEquals(lease, this.#claimant.held);
    if (again && this.#trouble === undefined) return;
    if (this.#claimant.cutsOff(lease, this.#own)) return;
    this.#claimant.held = lease;
    if (!again) {
      log.info("our subnets", { subnets: textOf(lease.parts) });
      this.#peers.leave();
    }
    this.#bring();
  }

  /** No subnet is ours for now. What the kernel has stays: containers that are there go on as well as they can. */
  #lost(trouble: AgentTrouble): void {
    this.#denied = trouble;
    this.#options.metrics.leaseExpires(undefined);
    this.#options.source.ready(false);
    this.#troubled(trouble);
  }

  /** As soon as all is known that it takes: makes the kernel so, then the packet filter, then tells others. */
  #bring(): void {
    const network = this.#network;
    const { underlay, held } = this.#claimant;
    if (network === undefined || underlay === undefined || held === undefined || !this.#peers.told) return;
    const own = { ...held, parts: pickParts(held.parts, network.networks) };
    if (valuesOf(own.parts).length === 0) {
      this.#lost({ code: 50, message: `${held.host}, this host, is given no subnet of a family that the network has` });
      return;
    }
    this.#own = own;
    const { fabric, log, blackholeRoute, bridge } = this.#options;
    try {
      const { networks, backend } = network;
      this.#peers.brought(fabric.configure({ backend, underlay, own: own.parts, blackholeRoute, bridge }));
      this.#peers.enter({ networks, backend, own });
    } catch (error) {
      const reason = messageOf(error);
      this.#sayings.once("bring", reason, () => log.error("the kernel does not take the network", { reason }));
      this.#wait(reason);
      this.#bringLater(own);
      return;
    }
    this.#sayings.forget("bring");
    this.#opening = this.#opening.then(() => this.#open(network, own));
  }

  #bringLater(own: Lease): void {
    this.#options.clock.after(RETRY_MS, () => {
      if (!this.#stopped && this.#own === own) this.#bring();
    });
  }

  /** Containers may come, once the packet filter lets them through. */
  async #open(network: NetworkConfig, own: Lease): Promise<void> {
    const { protect, publish, source, fabric, log, tell } = this.#options;
    const done = await protect(network, own);
    if (this.#stopped || this.#own !== own) return;
    if (this.#denied !== undefined) {
      this.#troubled(this.#denied);
      return;
    }
    try {
      if (!done && this.#trouble !== undefined) throw new Error(NO_RULES);
      publish(network, own, fabric.mtu);
    } catch (error) {
      this.#wait(messageOf(error));
      this.#bringLater(own);
      return;
    }
    if (this.#trouble !== undefined) log.info("ready", { mtu: fabric.mtu, peers: this.#peers.all.length });
    this.#trouble = undefined;
    source.ready(true);
    tell(true);
  }

  #wait(message: string): void {
    this.#troubled({ code: this.#peers.entered ? 51 : 50, message });
  }

  #troubled(trouble: AgentTrouble): void {
    const { log, tell } = this.#options;
    this.#sayings.once("trouble", trouble.message, () => log.error("not ready", { reason: trouble.message }));
    this.#trouble = trouble;
    tell(true);
  }
}

const NO_RULES = "the host's packet filter does not take the overlay's rules: see the agent's log";

function textOf(subnets: Lease["parts"]): string {
  return valuesOf(subnets)
    .map(({ subnet }) => formatCidr(subnet))
    .join(",");
}

function takenText(subnets: Parts<Cidr>, holder: string): string {
  return (
    `${valuesOf(subnets).map(formatCidr).join(" and ")}, which containers of this host have addresses of, is held by ` +
    `${holder}: packets to them may go astray. It is taken back when it is free; once the containers are gone ` +
    "another is taken"
  );
}
