/**
 * Many routes, neighbours and FDB entries at once, as `ip -batch` and `bridge -batch` load them: hundreds of messages
 * a datagram, and an answer only to those that are refused.
 *
 * No transaction, for rtnetlink has none: each entry is made or refused for itself.
 *
 * @module
 */
import { type Address, formatAddress } from "../net/address.ts";
import {
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
} from "./constants.ts";
import type { FdbEntry } from "./fdb.ts";
import { describeRoute, type RouteSpec } from "./route.ts";
import type { RtSocket } from "./socket.ts";
import { RtWriter, type Verb } from "./writer.ts";

/** An entry that the kernel refused. */
export interface BatchFailure {
  /** What the method that added it returned. */
  readonly number: number;
  /** `replace route 10.244.1.0/24 via 10.244.1.0`. */
  readonly what: string;
  readonly errno: string;
  /** `what`, and why. */
  readonly message: string;
}

// So many that, were each refused, the answers of about 1 KiB each fit a receive buffer of the default size (208 KiB).
const MESSAGES_A_DATAGRAM = 128;

const NEW = NLM_F_CREATE | NLM_F_REPLACE;
const ROUTE_ADD: Verb = { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_EXCL, deleting: false };
const ROUTE_REPLACE: Verb = { type: RTM_NEWROUTE, flags: NEW, deleting: false };
const ROUTE_DEL: Verb = { type: RTM_DELROUTE, flags: 0, deleting: true };
const NEIGH_REPLACE: Verb = { type: RTM_NEWNEIGH, flags: NEW, deleting: false };
const NEIGH_DEL: Verb = { type: RTM_DELNEIGH, flags: 0, deleting: true };

// What the kernel says of something that is gone already, or whose link is.
const GONE: readonly string[] = ["ENOENT", "ESRCH", "ENODEV"];

type Op =
  | { readonly verb: Verb; readonly kind: "route"; readonly entry: RouteSpec }
  | { readonly verb: Verb; readonly kind: "neighbour"; readonly entry: { readonly address: Address } }
  | { readonly verb: Verb; readonly kind: "fdb entry"; readonly entry: FdbEntry };

/** Entries to make and to delete, in this order. */
export class RtBatch {
  readonly #writer = new RtWriter();
  readonly #ops: Op[] = [];
  /** Where each datagram begins, in bytes. */
  readonly #datagrams: number[] = [];

  /** How many messages wait. */
  get size(): number {
    return this.#ops.length;
  }

  /** `ip route add`. Returns the message's number, as the others do: the first since the last commit is 0. */
  routeAdd(route: RouteSpec): number {
    const number = this.#add({ verb: ROUTE_ADD, kind: "route", entry: route });
    this.#writer.route(ROUTE_ADD, route);
    return number;
  }

  /** `ip route replace`. */
  routeReplace(route: RouteSpec): number {
    const number = this.#add({ verb: ROUTE_REPLACE, kind: "route", entry: route });
    this.#writer.route(ROUTE_REPLACE, route);
    return number;
  }

  /** `ip route del`; one that is gone is no failure, and so with the other deletions. */
  routeDel(route: RouteSpec): number {
    const number = this.#add({ verb: ROUTE_DEL, kind: "route", entry: route });
    this.#writer.route(ROUTE_DEL, route);
    return number;
  }

  /** `ip neighbour replace ... nud permanent`. */
  neighReplace(entry: { readonly index: number; readonly address: Address; readonly mac: string }): number {
    const number = this.#add({ verb: NEIGH_REPLACE, kind: "neighbour", entry });
    this.#writer.neigh(NEIGH_REPLACE, entry);
    return number;
  }

  /** `ip neighbour del`. */
  neighDel(entry: { readonly index: number; readonly address: Address }): number {
    const number = this.#add({ verb: NEIGH_DEL, kind: "neighbour", entry });
    this.#writer.neigh(NEIGH_DEL, { index: entry.index, address: entry.address });
    return number;
  }

  /** `bridge fdb replace ... self permanent`. */
  fdbReplace(entry: FdbEntry): number {
    const number = this.#add({ verb: NEIGH_REPLACE, kind: "fdb entry", entry });
    this.#writer.fdb(NEIGH_REPLACE, entry);
    return number;
  }

  /** `bridge fdb del ... self`. */
  fdbDel(entry: FdbEntry): number {
    const number = this.#add({ verb: NEIGH_DEL, kind: "fdb entry", entry });
    this.#writer.fdb(NEIGH_DEL, entry);
    return number;
  }

  /** Sends all that waits and returns what was refused; the batch is empty then. */
  commit(socket: RtSocket): readonly BatchFailure[] {
    const failures: BatchFailure[] = [];
    for (const [i, from] of this.#datagrams.entries()) {
      for (const { number, errno, reason } of socket.changeAll(this.#writer.written(from, this.#datagrams[i + 1]))) {
        const which = i * MESSAGES_A_DATAGRAM + number;
        const op = this.#ops[which];
        if (op === undefined || (op.verb.deleting && GONE.includes(errno))) continue;
        const what = describe(op);
        failures.push({ number: which, what, errno, message: `${what}: ${reason}` });
      }
    }
    this.#writer.clear();
    this.#ops.length = 0;
    this.#datagrams.length = 0;
    return failures;
  }

  #add(op: Op): number {
    if (this.#ops.length % MESSAGES_A_DATAGRAM === 0) this.#datagrams.push(this.#writer.length);
    return this.#ops.push(op) - 1;
  }
}

function describe({ verb, kind, entry }: Op): string {
  const object =
    kind === "route" ? describeRoute(entry) : kind === "neighbour" ? formatAddress(entry.address) : entry.mac;
  return `${verb.deleting ? "delete" : verb === ROUTE_ADD ? "add" : "replace"} ${kind} ${object}`;
}
