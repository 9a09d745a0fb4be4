/**
 * Holds everything back until all is known that has to be known before anything is written.
 *
 * That is all objects, and of the Node its addresses (for a while) and, where pods are told by them, its podCIDRs: a
 * kubelet may register a node a moment after its proxy started.
 *
 * @module
 */

import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { NodeObject } from "../objects/objects.ts";

export interface GateOptions {
  /** Whether all objects have been delivered. */
  readonly delivered: () => boolean;
  /** The node as rules shall see it; undefined if nothing is known of it. */
  readonly node: () => NodeObject | undefined;
  /** Whether the node's podCIDRs are needed and missing. */
  readonly awaitsPodCIDR: () => boolean;
  /** Ms to wait for the node's addresses, and then for its podCIDRs; undefined: for ever. */
  readonly patience: { readonly addresses: number; readonly podCIDRs: number | undefined };
  readonly clock: Clock;
  readonly log: Log;
  /** Called when it opens, once, a moment later. */
  readonly opened: () => void;
  /** Called when it waited in vain for what it cannot do without. */
  readonly gaveUp: (error: Error) => void;
}

export class Gate {
  readonly #options: GateOptions;
  #addressesAt: number | undefined;
  #told = false;
  #opened = false;
  #callOff: (() => void)[] = [];

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Whether rules may be written. Once it is open it stays so: what is known of the node is kept. */
  get open(): boolean {
    if (this.#opened || !this.#look()) return this.#opened;
    this.#opened = true;
    this.close();
    this.#callOff = [this.#options.clock.after(0, this.#options.opened)];
    return true;
  }

  #look(): boolean {
    const { delivered, awaitsPodCIDR, node, clock } = this.#options;
    if (!delivered()) return false;
    this.#addressesAt ??= this.#startWaiting();
    if (awaitsPodCIDR()) {
      this.#tell("waiting for the Node's podCIDRs, which tell its pods from others");
      return false;
    }
    if ((node()?.addresses.length ?? 0) > 0 || clock.now() >= this.#addressesAt) return true;
    this.#tell("waiting for the Node to have addresses");
    return false;
  }

  close(): void {
    for (const callOff of this.#callOff) callOff();
  }

  #startWaiting(): number {
    const { patience, clock, awaitsPodCIDR, gaveUp } = this.#options;
    if (patience.addresses > 0) this.#callOff.push(clock.after(patience.addresses, () => this.open));
    if (patience.podCIDRs !== undefined) {
      const end = () => {
        if (awaitsPodCIDR()) gaveUp(noPodCIDR());
      };
      this.#callOff.push(clock.after(patience.addresses + patience.podCIDRs, end));
    }
    return clock.now() + patience.addresses;
  }

  #tell(message: string): void {
    if (this.#told) return;
    this.#told = true;
    this.#options.log.info(message);
  }
}

function noPodCIDR(): TsnetError {
  return new TsnetError(
    "the Node has no podCIDRs: let the controller manager allocate them (--allocate-node-cidrs), or take another detectLocalMode",
    { code: "timeout", op: "wait for node" },
  );
}
