/**
 * Ends flows that lead nowhere: of UDP frontends whose endpoints changed, those that are answered by none that still
 * serves. A UDP client that sends without a pause never times out, and would be sent to a pod that is gone for ever.
 * On demand TCP flows too, of endpoints that are not there any more: a client hears of it at its next packet.
 *
 * Runs after the sync that changed the rules (before, the flow would come back the same), off its path: nothing
 * waits for it. One pass over the kernel's flows serves all that has been gathered meanwhile, and holds none of them.
 *
 * @module
 */

import type { Conntrack, Flow } from "../lib/conntrack/conntrack.ts";
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import { formatAddress, sameAddress } from "../lib/net/address.ts";
import type { FlowCleanup } from "./state/pending.ts";

export interface FlowCleanerOptions {
  readonly conntrack: Conntrack;
  readonly log: Log;
  /** The addresses that this host has at the moment. */
  readonly localAddresses: () => ReadonlySet<string>;
  /** Called after each pass with how many flows were deleted and how many ms it took. */
  readonly cleaned: (family: 4 | 6, deleted: number, ms: number) => void;
}

type Proto = "udp" | "tcp";

export class FlowCleaner {
  readonly #options: FlowCleanerOptions;
  /** What waits, by family and protocol. */
  readonly #waiting = new Map<string, readonly FlowCleanup[]>();
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: FlowCleanerOptions) {
    this.#options = options;
  }

  /** Queues a look at the flows of these frontends. Of two that are queued for a frontend the later one counts. */
  queue(family: 4 | 6, proto: Proto, cleanups: readonly FlowCleanup[]): void {
    if (cleanups.length === 0 || this.#stopped) return;
    const key = `${family} ${proto}`;
    this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), ...cleanups]);
    this.#running ??= this.#run();
  }

  /** Resolves when nothing waits any more. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
  }

  async #run(): Promise<void> {
    // Whatever called has things to do that somebody waits for.
    await new Promise(setImmediate);
    for (;;) {
      const family = this.#waiting.keys().some((key) => key.startsWith("4")) ? 4 : 6;
      const proto = this.#waiting.has(`${family} udp`) ? "udp" : "tcp";
      const cleanups = this.#waiting.get(`${family} ${proto}`);
      if (cleanups === undefined) {
        this.#running = undefined;
        return;
      }
      this.#waiting.delete(`${family} ${proto}`);
      await this.#clean(family, proto, cleanups);
    }
  }

  async #clean(family: 4 | 6, proto: Proto, cleanups: readonly FlowCleanup[]): Promise<void> {
    const { conntrack, log, localAddresses, cleaned } = this.#options;
    const start = performance.now();
    try {
      const stale = staleFlows(cleanups, localAddresses(), proto);
      const deleted = await conntrack.deleteFlowsIf({ family, proto }, stale);
      const ms = performance.now() - start;
      cleaned(family, deleted, ms);
      log.debug(deleted > 0 ? 2 : 4, "stale flows deleted", { family, proto, deleted, ms: Math.round(ms) });
    } catch (error) {
      log.warn("cannot delete stale flows: some clients may go on sending to endpoints that are gone", {
        family,
        proto,
        reason: messageOf(error),
      });
    }
  }
}

interface PortFlows {
  /** By frontend's address, the endpoints that may keep flows: `address port`. */
  readonly addresses: Map<string, ReadonlySet<string>>;
  /** Of the node port of this number, if there is one. */
  nodePort: ReadonlySet<string> | undefined;
}

/** Tells whether a flow goes to one of the frontends and is answered by none of their endpoints. */
export function staleFlows(
  cleanups: readonly FlowCleanup[],
  localAddresses: ReadonlySet<string>,
  proto: Proto = "udp",
): (flow: Flow) => boolean {
  const ports = portsOf(cleanups);
  return ({ orig, reply }) => {
    // Most flows are none of ours, and are told by a number.
    const port = orig.dport === undefined ? undefined : ports.get(orig.dport);
    if (port === undefined) return false;
    const address = formatAddress(orig.dst);
    // The number alone does not make it one of a node port: it may be anybody's, anywhere.
    const untouched = sameAddress(orig.dst, reply.src);
    // A connection that was never led anywhere is between two that know each other.
    if (untouched && proto === "tcp") return false;
    const atNodePort = !untouched || localAddresses.has(address) ? port.nodePort : undefined;
    const serving = port.addresses.get(address) ?? atNodePort;
    return serving !== undefined && !serving.has(`${formatAddress(reply.src)} ${reply.sport}`);
  };
}

function portsOf(cleanups: readonly FlowCleanup[]): ReadonlyMap<number, PortFlows> {
  const ports = new Map<number, PortFlows>();
  for (const { frontends, serving } of cleanups) {
    const keep = new Set(serving.map(({ address, port }) => `${address} ${port}`));
    for (const { address, port } of frontends) {
      const flows: PortFlows = ports.get(port) ?? { addresses: new Map(), nodePort: undefined };
      ports.set(port, flows);
      if (address === "") flows.nodePort = keep;
      else flows.addresses.set(address, keep);
    }
  }
  return ports;
}
