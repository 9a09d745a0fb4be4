/**
 * Messages about routes, neighbours and FDB entries, written one behind the other into one buffer that grows: a
 * thousand peers are three thousand messages, and an object for each part of each would cost more than the kernel's
 * work. They hold what route.ts, neigh.ts and fdb.ts send for one.
 *
 * @module
 */
import { type Address, bitsOf } from "../net/address.ts";
import { firstOf } from "../net/cidr.ts";
import { macNumber } from "../net/mac.ts";
import {
  AF_BRIDGE,
  NDA_DST,
  NDA_IFINDEX,
  NDA_LLADDR,
  NDA_PORT,
  NDA_VNI,
  NLM_F_REQUEST,
  NTF_SELF,
  NUD_PERMANENT,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTAX_ADVMSS,
  RTAX_MTU,
  RTN_UNICAST,
  RTNH_F_ONLINK,
  RTPROT_BOOT,
} from "./constants.ts";
import { familyNumber } from "./family.ts";
import type { FdbEntry } from "./fdb.ts";
import { type RouteSpec, scopeOf } from "./route.ts";

/** What a message does: `RTM_*`, and `NLM_F_*` beside REQUEST. */
export interface Verb {
  readonly type: number;
  readonly flags: number;
  readonly deleting: boolean;
}

// More than any message written here has: a route of IPv6 with everything takes 136 bytes.
const MESSAGE_BYTES = 192;

export class RtWriter {
  #bytes = Buffer.alloc(64 * MESSAGE_BYTES);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
  #length = 0;

  /** Bytes. */
  get length(): number {
    return this.#length;
  }

  /** What was written from byte `from` on, before byte `to`. */
  written(from = 0, to = this.#length): Buffer {
    return this.#bytes.subarray(from, to);
  }

  clear(): void {
    this.#length = 0;
  }

  route(verb: Verb, route: RouteSpec): void {
    const { deleting } = verb;
    const { family } = route.dst.address;
    const table = route.table ?? RT_TABLE_MAIN;
    const start = this.#begin(verb);
    // struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags.
    this.#u8(familyNumber(family), route.dst.prefix, 0, 0);
    this.#u8(
      table < 256 ? table : 0,
      route.protocol ?? (deleting ? 0 : RTPROT_BOOT),
      scopeOf(route, deleting),
      route.type ?? (deleting ? 0 : RTN_UNICAST),
    );
    this.#u32(route.onlink === true ? RTNH_F_ONLINK : 0);
    if (route.dst.prefix > 0)
      this.#address(RTA_DST, route.dst.prefix === bitsOf(family) ? route.dst.address : firstOf(route.dst));
    this.#number(RTA_OIF, route.dev);
    if (route.gateway !== undefined) this.#address(RTA_GATEWAY, route.gateway);
    this.#number(RTA_PRIORITY, route.priority);
    if (route.src !== undefined) this.#address(RTA_PREFSRC, route.src);
    // What leads to it finds a route: metrics must not hide it from its deletion.
    if (!deleting && (route.mtu !== undefined || route.advmss !== undefined)) {
      this.#attribute(RTA_METRICS, route.mtu === undefined || route.advmss === undefined ? 8 : 16);
      this.#number(RTAX_MTU, route.mtu);
      this.#number(RTAX_ADVMSS, route.advmss);
    }
    this.#number(RTA_TABLE, table);
    this.#end(start);
  }

  neigh(
    verb: Verb,
    { index, address, mac }: { readonly index: number; readonly address: Address; readonly mac?: string },
  ): void {
    const start = this.#neighbour(verb, { family: familyNumber(address.family), index, flags: 0 });
    this.#address(NDA_DST, address);
    if (mac !== undefined) this.#mac(mac);
    this.#end(start);
  }

  fdb(verb: Verb, { index, mac, dst, port, vni, link }: FdbEntry): void {
    const start = this.#neighbour(verb, { family: AF_BRIDGE, index, flags: NTF_SELF });
    this.#address(NDA_DST, dst);
    this.#mac(mac);
    if (port !== undefined) {
      this.#attribute(NDA_PORT, 2);
      // In network order, unlike the other numbers; then two bytes up to the next attribute.
      this.#u8(port >> 8, port & 0xff, 0, 0);
    }
    this.#number(NDA_VNI, vni);
    this.#number(NDA_IFINDEX, link);
    this.#end(start);
  }

  /** struct ndmsg: u8 family, pad, u16 pad, s32 index, u16 state, u8 flags, type. */
  #neighbour(verb: Verb, head: { readonly family: number; readonly index: number; readonly flags: number }): number {
    const start = this.#begin(verb);
    this.#u32(head.family);
    this.#u32(head.index);
    this.#u8(verb.deleting ? 0 : NUD_PERMANENT, 0, head.flags, 0);
    return start;
  }

  #begin({ type, flags }: Verb): number {
    if (this.#length + MESSAGE_BYTES > this.#bytes.length) this.#grow();
    const start = this.#length;
    // struct nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 port; the length is written at the end.
    this.#u32(0);
    this.#u32(type | ((NLM_F_REQUEST | flags) << 16));
    this.#u32(0);
    this.#u32(0);
    return start;
  }

  #end(start: number): void {
    this.#view.setUint32(start, this.#length - start, true);
  }

  /** The head of an attribute with `size` bytes behind it: u16 length, u16 type. */
  #attribute(type: number, size: number): void {
    this.#u32((type << 16) | (size + 4));
  }

  #number(type: number, value: number | undefined): void {
    if (value === undefined) return;
    this.#attribute(type, 4);
    this.#u32(value);
  }

  #address(type: number, { family, value }: Address): void {
    if (family === 4) {
      this.#attribute(type, 4);
      this.#view.setUint32(this.#length, Number(value));
      this.#length += 4;
      return;
    }
    this.#attribute(type, 16);
    this.#view.setBigUint64(this.#length, value >> 64n);
    this.#view.setBigUint64(this.#length + 8, value);
    this.#length += 16;
  }

  #mac(mac: string): void {
    const number = macNumber(mac);
    this.#attribute(NDA_LLADDR, 6);
    this.#view.setUint16(this.#length, Math.floor(number / 2 ** 32));
    this.#view.setUint32(this.#length + 2, number % 2 ** 32);
    // Up to the next attribute.
    this.#view.setUint16(this.#length + 6, 0);
    this.#length += 8;
  }

  #u8(a: number, b: number, c: number, d: number): void {
    this.#u32((a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | (d << 24));
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  #grow(): void {
    const bytes = Buffer.alloc(this.#bytes.length * 2);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset);
  }
}
