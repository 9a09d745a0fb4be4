/**
 * Where the kernel sends packets for an address: `ip route get`, with names of links kept.
 *
 * @module
 */
import type { Address } from "../../lib/net/address.ts";
import { RTN_UNICAST } from "../../lib/netlink/constants.ts";
import type { RtEvent } from "../../lib/netlink/events.ts";
import { linkGet } from "../../lib/netlink/link.ts";
import { routeGet } from "../../lib/netlink/route.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import type { Hop } from "./wanted.ts";

export class Hops {
  readonly #socket: RtSocket;
  readonly #names = new Map<number, string>();

  constructor(socket: RtSocket) {
    this.#socket = socket;
  }

  /** Undefined if nothing leads there, or it is this host's own. */
  to(address: Address): Hop | undefined {
    const next = routeGet(this.#socket, address);
    if (next === undefined || next.type !== RTN_UNICAST) return undefined;
    return { dev: next.dev, name: this.nameOf(next.dev), gateway: next.gateway };
  }

  /** Of a link; its number if it is gone. */
  nameOf(index: number): string {
    const known = this.#names.get(index);
    if (known !== undefined) return known;
    const name = linkGet(this.#socket, index)?.name;
    if (name !== undefined) this.#names.set(index, name);
    return name ?? `link ${index}`;
  }

  /** Names change with links. */
  see(event: RtEvent): void {
    if (event.kind === "link") this.#names.delete(event.link.index);
    if (event.kind === "lost") this.#names.clear();
  }
}
