/**
 * Whether the underlay is still as it was: its link up, of the same name and MTU, with the same addresses.
 *
 * The kernel also tells where nothing has changed, at every router advertisement for one: what it tells is held
 * against what is known.
 *
 * @module
 */
import { formatAddress, sameAddress } from "../../lib/net/address.ts";
import { formatCidr } from "../../lib/net/cidr.ts";
import { type Addr, addrList } from "../../lib/netlink/addr.ts";
import type { RtEvent } from "../../lib/netlink/events.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { valuesOf } from "../parts.ts";
import type { Underlay } from "../types.ts";

type LinkState = Pick<Link, "name" | "up" | "mtu">;

export class UnderlayWatch {
  readonly #underlay: Underlay;
  #link: LinkState | undefined;
  readonly #addresses: Map<string, boolean>;

  private constructor(underlay: Underlay, link: LinkState | undefined, addresses: readonly Addr[]) {
    this.#underlay = underlay;
    this.#link = link;
    this.#addresses = new Map(addresses.map((addr) => [formatCidr(addr.cidr), isUsable(addr)]));
  }

  static open(socket: RtSocket, underlay: Underlay): UnderlayWatch {
    const { index } = underlay;
    return new UnderlayWatch(underlay, linkGet(socket, index), addrList(socket, { index }));
  }

  /**
   * Whether the event says that the underlay is another than it was, or may be: a default route leads to it, unless it
   * was named.
   */
  see(event: RtEvent): boolean {
    if (event.kind === "route") return event.route.dst.prefix === 0;
    if (event.kind === "link") return this.#seeLink(event.link, event.gone);
    if (event.kind === "addr") return this.#seeAddress(event.addr, event.gone);
    return false;
  }

  /** Whether it is not as it was chosen, told or not. */
  differs(socket: RtSocket): boolean {
    const { index, name, mtu } = this.#underlay;
    const link = linkGet(socket, index);
    if (link === undefined || link.name !== name || link.mtu !== mtu) return true;
    const there = addrList(socket, { index }).map(({ cidr }) => formatAddress(cidr.address));
    return !valuesOf(this.#underlay.addresses).every((address) => there.includes(formatAddress(address)));
  }

  #seeLink(link: Link, gone: boolean): boolean {
    // A link that was unplugged comes back with another index.
    if (link.index !== this.#underlay.index) return !gone && link.name === this.#underlay.name;
    const before = this.#link;
    this.#link = gone ? undefined : { name: link.name, up: link.up, mtu: link.mtu };
    const now = this.#link;
    return before?.name !== now?.name || before?.up !== now?.up || before?.mtu !== now?.mtu;
  }

  #seeAddress(addr: Addr, gone: boolean): boolean {
    if (addr.index !== this.#underlay.index) {
      const ours = valuesOf(this.#underlay.addresses);
      return !gone && ours.some((address) => sameAddress(address, addr.cidr.address));
    }
    const key = formatCidr(addr.cidr);
    const before = this.#addresses.get(key);
    if (gone) return this.#addresses.delete(key);
    this.#addresses.set(key, isUsable(addr));
    return before !== isUsable(addr);
  }
}

function isUsable(addr: Addr): boolean {
  return !addr.tentative && !addr.dadFailed;
}
