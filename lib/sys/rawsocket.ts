/**
 * Packets of our own making, and a connection as far as its first answer: what tells whether another host is reached,
 * and by what.
 *
 * Nothing here waits; whoever expects an answer looks again later. Addresses are their bytes in network order, 4 or 16.
 * Raw sockets take CAP_NET_RAW.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { check, EAGAIN, EINTR, errno, errnoName, openLibc } from "./libc.ts";
import { attachFilter, closeFd } from "./native.ts";
import { inside, type Netns } from "./netns.ts";

// linux/socket.h, linux/in.h, asm-generic/sockios.h, linux/time.h
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SIOCGSTAMPNS = 0x8907n;
const CLOCK_REALTIME = 0;

const SYMBOLS = {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  connect: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  getsockname: { args: [FFIType.i32, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
  setsockopt: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64,
  },
  recvfrom: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.ptr],
    returns: FFIType.i64,
  },
  ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
} as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

function calls() {
  opened ??= openLibc(SYMBOLS);
  return opened;
}

/** A packet that came in. */
export interface Packet {
  readonly from: Uint8Array;
  /** What stands behind the IP header. Overwritten by the next. */
  readonly data: Buffer;
  /** When the kernel had it, in ms of {@link realtime}. */
  readonly at: number;
}

export interface RawOptions {
  readonly family: 4 | 6;
  /** `IPPROTO_*`. */
  readonly protocol: number;
  /** Sends from there. */
  readonly source?: Uint8Array;
  /** Sends there, and hears only what comes from there. */
  readonly peer?: Uint8Array;
  /** Hears only packets whose destination port this is. */
  readonly port?: number;
  /** Where to open it, unless in the namespace that the process is in. */
  readonly netns?: Netns;
}

/** A raw socket. */
export class RawSocket {
  readonly #fd: number;
  readonly #family: 4 | 6;
  readonly #buffer = Buffer.allocUnsafeSlow(2048);
  readonly #sender = Buffer.alloc(28);
  readonly #senderLength = new Uint32Array(1);
  readonly #time = new BigInt64Array(2);

  /** @throws TsnetError with the errno: EPERM without CAP_NET_RAW, ENETUNREACH or EADDRNOTAVAIL for `peer` and `source`. */
  constructor({ family, protocol, source, peer, port, netns }: RawOptions) {
    this.#family = family;
    this.#fd = openSocket({ family, type: SOCK_RAW, protocol, netns });
    try {
      // From its start: of IPv4 the IP header comes with the packet.
      if (port !== undefined) attachFilter(this.#fd, { offset: family === 4 ? 22 : 2, value: port });
      if (source !== undefined) bindTo(this.#fd, source);
      if (peer !== undefined) {
        const there = socketAddress(peer, 0);
        check("connect", calls().connect(this.#fd, there, there.length));
      }
      // The first question switches the stamps on, and fails for want of one.
      calls().ioctl(this.#fd, SIOCGSTAMPNS, this.#time);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The address that packets leave with; all zeros without `source` and `peer`. */
  get local(): Uint8Array {
    return nameOf(this.#fd, this.#family).address;
  }

  setOption(level: number, name: number, value: Uint8Array): void {
    check("setsockopt", calls().setsockopt(this.#fd, level, name, value, value.byteLength));
  }

  /** Sends what stands behind the IP header; the errno's name if the kernel would not. */
  send(data: Uint8Array, to?: Uint8Array): string | undefined {
    const there = to === undefined ? undefined : socketAddress(to, 0);
    const sent = calls().sendto(this.#fd, data, data.byteLength, 0, there ?? null, there?.length ?? 0);
    return Number(sent) < 0 ? errnoName(errno()) : undefined;
  }

  /** The next packet; an errno's name where instead of one came word that nobody is there; undefined if nothing came. */
  receive(): Packet | string | undefined {
    for (;;) {
      this.#senderLength[0] = this.#sender.length;
      const { recvfrom } = calls();
      const buffer = this.#buffer;
      const length = Number(recvfrom(this.#fd, buffer, buffer.length, 0, this.#sender, this.#senderLength));
      if (length >= 0) return this.#packet(buffer.subarray(0, length));
      const number = errno();
      if (number === EAGAIN) return undefined;
      if (number !== EINTR) return errnoName(number);
    }
  }

  close(): void {
    closeFd(this.#fd);
  }

  #packet(datagram: Buffer): Packet {
    // The low half of IPv4's first byte counts its header's words.
    const header = this.#family === 4 ? ((datagram[0] ?? 0) & 0xf) * 4 : 0;
    return {
      from: addressIn(this.#sender, this.#family),
      data: datagram.subarray(header),
      at: calls().ioctl(this.#fd, SIOCGSTAMPNS, this.#time) === 0 ? msOf(this.#time) : realtime(),
    };
  }
}

/** Ms since 1970 with fractions, of the clock that packets are stamped by. */
export function realtime(): number {
  const time = new BigInt64Array(2);
  check("clock_gettime", calls().clock_gettime(CLOCK_REALTIME, time));
  return msOf(time);
}

/** A TCP connection that is begun, to see who answers. */
export class TcpAttempt {
  readonly #fd: number;
  readonly #there: Buffer;
  #ended: string | undefined;

  constructor({
    family,
    to,
    port,
    netns,
  }: Pick<RawOptions, "family" | "netns"> & { readonly to: Uint8Array; readonly port: number }) {
    this.#there = socketAddress(to, port);
    this.#fd = openSocket({ family, type: SOCK_STREAM, protocol: 0, netns });
    this.look();
  }

  /**
   * Undefined while nothing came; `ESTABLISHED`, or the errno's name of why not: `ECONNREFUSED`, `EHOSTUNREACH`.
   */
  look(): string | undefined {
    if (this.#ended !== undefined) return this.#ended;
    // Asking again is how the kernel tells how the first one fares.
    const result = calls().connect(this.#fd, this.#there, this.#there.length);
    const name = result === 0 ? "EISCONN" : errnoName(errno());
    if (name === "EINPROGRESS" || name === "EALREADY" || name === "EINTR") return undefined;
    this.#ended = name === "EISCONN" ? "ESTABLISHED" : name;
    return this.#ended;
  }

  close(): void {
    closeFd(this.#fd);
  }
}

/** Keeps a TCP port, so that nobody else uses it, until it is closed. Nobody listens there. */
export class HeldPort {
  readonly #fd: number;
  readonly port: number;

  constructor({ family, netns }: Pick<RawOptions, "family" | "netns">) {
    this.#fd = openSocket({ family, type: SOCK_STREAM, protocol: 0, netns });
    try {
      bindTo(this.#fd, new Uint8Array(family === 4 ? 4 : 16));
      this.port = nameOf(this.#fd, family).port;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    closeFd(this.#fd);
  }
}

function openSocket({
  family,
  type,
  protocol,
  netns,
}: {
  readonly family: 4 | 6;
  readonly type: number;
  readonly protocol: number;
  readonly netns: Netns | undefined;
}): number {
  const domain = family === 4 ? AF_INET : AF_INET6;
  const open = () => check("socket", calls().socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  return netns === undefined ? open() : inside(netns, open);
}

function bindTo(fd: number, source: Uint8Array): void {
  const here = socketAddress(source, 0);
  check("bind", calls().bind(fd, here, here.length));
}

function nameOf(fd: number, family: 4 | 6): { readonly address: Uint8Array; readonly port: number } {
  const name = Buffer.alloc(28);
  check("getsockname", calls().getsockname(fd, name, new Uint32Array([name.length])));
  return { address: addressIn(name, family), port: name.readUInt16BE(2) };
}

/**
 * struct sockaddr_in: u16 family, be16 port, 4 bytes, 8 of zeros; struct sockaddr_in6: u16 family, be16 port, u32 flow,
 * 16 bytes, u32 scope. linux/in.h, linux/in6.h.
 */
export function socketAddress(address: Uint8Array, port: number): Buffer {
  const four = address.length === 4;
  const bytes = Buffer.alloc(four ? 16 : 28);
  bytes.writeUInt16LE(four ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address, four ? 4 : 8);
  return bytes;
}

function addressIn(bytes: Uint8Array, family: 4 | 6): Uint8Array {
  return family === 4 ? bytes.slice(4, 8) : bytes.slice(8, 24);
}

/** struct timespec: s64 seconds, s64 nanoseconds. */
function msOf([seconds = 0n, nanoseconds = 0n]: BigInt64Array): number {
  return Number(seconds) * 1000 + Number(nanoseconds) / 1e6;
}
