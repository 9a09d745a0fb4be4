/**
 * Sockets in anybody's network namespace, for the prober's agent: non-blocking, by FFI, with one loop that waits
 * for all of them. The runtime's own sockets tell neither a refusal from an unreachable host as the kernel does,
 * nor do they bind to addresses that are local by a route alone.
 *
 * @module
 */
import { dlopen, FFIType, read } from "bun:ffi";
import { addressBytes, addressFromBytes, formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { errnoName } from "../../../lib/sys/libc.ts";

const { i32, i64, u32, u64, ptr } = FFIType;

const libc = dlopen("libc.so.6", {
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, ptr, u32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  accept4: { args: [i32, ptr, ptr, i32], returns: i32 },
  connect: { args: [i32, ptr, u32], returns: i32 },
  getsockopt: { args: [i32, i32, i32, ptr, ptr], returns: i32 },
  setsockopt: { args: [i32, i32, i32, ptr, u32], returns: i32 },
  getsockname: { args: [i32, ptr, ptr], returns: i32 },
  sendto: { args: [i32, ptr, u64, i32, ptr, u32], returns: i64 },
  recvfrom: { args: [i32, ptr, u64, i32, ptr, ptr], returns: i64 },
  read: { args: [i32, ptr, u64], returns: i64 },
  close: { args: [i32], returns: i32 },
  open: { args: [ptr, i32], returns: i32 },
  setns: { args: [i32, i32], returns: i32 },
  epoll_create1: { args: [i32], returns: i32 },
  epoll_ctl: { args: [i32, i32, i32, ptr], returns: i32 },
  epoll_wait: { args: [i32, ptr, i32, i32], returns: i32 },
  __errno_location: { args: [], returns: ptr },
}).symbols;

/** Of sys/socket.h, netinet/in.h and sys/epoll.h, as all Linux machines that we test on have them. */
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const IPPROTO_TCP = 6;
export const IPPROTO_SCTP = 132;
export const EPOLLIN = 1;
export const EPOLLERR = 8;
export const EPOLLHUP = 16;
const SOCK_NONBLOCK = 0o4000;
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_LINGER = 13;
const SO_RCVBUFFORCE = 33;
const IP_FREEBIND = 15;
const IP_BIND_ADDRESS_NO_PORT = 24;
const IP_RECVERR = 11;
const IPPROTO_IPV6 = 41;
const IPV6_RECVERR = 25;
const MSG_ERRQUEUE = 0x2000;
const CLONE_NEWNET = 0x40000000;

export interface Peer {
  readonly address: string;
  readonly port: number;
}

function errno(): string {
  const at = libc.__errno_location();
  return at === null ? "errno" : errnoName(read.i32(at, 0));
}

function check(what: string, result: number): number {
  if (result < 0) throw new Error(`${what}: ${errno()}`);
  return result;
}

const namespaces = new Map<string, number>();
let current = "";

/** Moves the thread into a named namespace: sockets opened from here on belong to it. */
export function enter(netns: string): void {
  if (netns === current) return;
  let fd = namespaces.get(netns);
  if (fd === undefined) {
    fd = check(`open ${netns}`, libc.open(Buffer.from(`/run/netns/${netns}\0`), 0));
    namespaces.set(netns, fd);
  }
  check(`setns ${netns}`, libc.setns(fd, CLONE_NEWNET));
  current = netns;
}

/** `struct sockaddr_in` or `sockaddr_in6`. */
function encode(peer: Peer): Uint8Array {
  const address = parseAddress(peer.address);
  const bytes = new Uint8Array(address.family === 4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, address.family === 4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, peer.port);
  bytes.set(addressBytes(address), address.family === 4 ? 4 : 8);
  return bytes;
}

const peerBytes = new Uint8Array(28);
const peerLength = new Uint32Array(1);

function decodePeer(): Peer {
  const view = new DataView(peerBytes.buffer);
  const bytes = view.getUint16(0, true) === AF_INET ? peerBytes.subarray(4, 8) : peerBytes.subarray(8, 24);
  return { address: formatAddress(addressFromBytes(bytes)), port: view.getUint16(2) };
}

/** Opens a socket of the family of `address` in the namespace that the thread is in. */
export function openSocket(address: string, type: number, protocol = 0): number {
  const fd = check("socket", libc.socket(address.includes(":") ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK, protocol));
  // With it a UDP socket may get a port, and the answers, that another socket has already.
  if (type === SOCK_STREAM) set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  return fd;
}

function set(fd: number, level: number, name: number, ...values: number[]): void {
  const option = new Int32Array(values);
  check("setsockopt", libc.setsockopt(fd, level, name, option, option.byteLength));
}

/** Binds, to addresses too that are this namespace's by a route alone. */
export function bindTo(fd: number, peer: Peer): void {
  set(fd, 0, IP_FREEBIND, 1);
  if (peer.port === 0) set(fd, 0, IP_BIND_ADDRESS_NO_PORT, 1);
  const address = encode(peer);
  check(`bind ${peer.address} ${peer.port}`, libc.bind(fd, address, address.byteLength));
}

/** Room for what a few thousand clients send at once: what does not fit is lost. */
export function takeMany(fd: number): void {
  set(fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);
}

export function listenOn(fd: number): void {
  check("listen", libc.listen(fd, 4096));
}

/** The next connection that waits, with both ends; undefined if none does. */
export function accept(fd: number): { fd: number; peer: Peer; own: Peer } | undefined {
  peerLength[0] = 28;
  const connection = libc.accept4(fd, peerBytes, peerLength, SOCK_NONBLOCK);
  if (connection < 0) return undefined;
  const peer = decodePeer();
  peerLength[0] = 28;
  check("getsockname", libc.getsockname(connection, peerBytes, peerLength));
  return { fd: connection, peer, own: decodePeer() };
}

/** Starts to connect; the errno's name if that is over already. */
export function startConnect(fd: number, peer: Peer): string | undefined {
  const address = encode(peer);
  if (libc.connect(fd, address, address.byteLength) < 0) {
    const name = errno();
    if (name !== "EINPROGRESS") return name;
  }
  return socketError(fd);
}

/**
 * The error that a socket has; undefined: none. An ICMP refusal that arrives while connect() still holds the socket,
 * as it does on veth, is only a soft error until the SYN is sent again a second later: this tells of it at once.
 */
export function socketError(fd: number): string | undefined {
  const value = new Int32Array(1);
  check("getsockopt", libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, new Uint32Array([4])));
  return value[0] === 0 ? undefined : errnoName(value[0] ?? 0);
}

/** Sends without waiting; false if it was not taken. */
export function sendOn(fd: number, data: Uint8Array, to?: Peer): boolean {
  const address = to === undefined ? null : encode(to);
  return libc.sendto(fd, data, data.byteLength, 0x4000 /* MSG_NOSIGNAL */, address, address?.byteLength ?? 0) >= 0;
}

const received = new Uint8Array(65536);

/** What has come; an errno's name if nothing has (`EAGAIN`) or the socket failed. Empty: the other end is closed. */
export function receiveOn(fd: number, flags = 0): { data: Uint8Array; from: Peer } | string {
  peerLength[0] = 28;
  peerBytes.fill(0);
  const length = Number(libc.recvfrom(fd, received, received.byteLength, flags, peerBytes, peerLength));
  if (length < 0) return errno();
  return { data: received.slice(0, length), from: decodePeer() };
}

/** Has the packets kept that ICMP errors are about, for {@link refusedPackets}. */
export function keepRefused(fd: number, address: string): void {
  if (address.includes(":")) set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
  else set(fd, 0, IP_RECVERR, 1);
}

/** The packets that ICMP errors were about, from the transport's header on. */
export function refusedPackets(fd: number): readonly Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let got = receiveOn(fd, MSG_ERRQUEUE); typeof got !== "string"; got = receiveOn(fd, MSG_ERRQUEUE)) {
    packets.push(got.data);
  }
  return packets;
}

/** Closes; with `reset`, a connection ends at once and leaves no TIME_WAIT behind. */
export function closeSocket(fd: number, reset = false): void {
  if (reset) set(fd, SOL_SOCKET, SO_LINGER, 1, 0);
  libc.close(fd);
}

// struct epoll_event is packed on x86-64 alone.
const EVENT_SIZE = process.arch === "x64" ? 12 : 16;
const FD_AT = EVENT_SIZE - 8;

/** Waits for any of many descriptors. */
export class Poller {
  readonly #fd = check("epoll_create1", libc.epoll_create1(0));
  readonly #handlers = new Map<number, (events: number) => void>();
  readonly #events = new DataView(new ArrayBuffer(EVENT_SIZE * 256));

  add(fd: number, handler: (events: number) => void): void {
    const event = new DataView(new ArrayBuffer(EVENT_SIZE));
    event.setUint32(0, EPOLLIN, true);
    event.setInt32(FD_AT, fd, true);
    check("epoll_ctl", libc.epoll_ctl(this.#fd, 1 /* EPOLL_CTL_ADD */, fd, new Uint8Array(event.buffer)));
    this.#handlers.set(fd, handler);
  }

  /** To be called before the descriptor is closed. */
  remove(fd: number): void {
    if (this.#handlers.delete(fd)) libc.epoll_ctl(this.#fd, 2 /* EPOLL_CTL_DEL */, fd, null);
  }

  /** Waits for at most `timeoutMs` (-1: for ever) and calls the handlers of what is ready. */
  wait(timeoutMs: number): void {
    const ready = libc.epoll_wait(this.#fd, new Uint8Array(this.#events.buffer), 256, timeoutMs);
    const found = Array.from({ length: Math.max(ready, 0) }, (_, i) => ({
      fd: this.#events.getInt32(i * EVENT_SIZE + FD_AT, true),
      events: this.#events.getUint32(i * EVENT_SIZE, true),
    }));
    for (const { fd, events } of found) this.#handlers.get(fd)?.(events);
  }
}

/** Reads what is there of a descriptor that is ready; undefined at its end. */
export function readReady(fd: number): Uint8Array | undefined {
  const length = Number(libc.read(fd, received, received.byteLength));
  return length <= 0 ? undefined : received.slice(0, length);
}
