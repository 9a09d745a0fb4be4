/**
 * Ports that are held: a socket is bound there and takes nothing, so that nobody else can have the port without an
 * error. Most of them never see a packet, since the packet filter leads those elsewhere.
 *
 * @module
 */
import { check, libc } from "./libc.ts";
import { closeFd, setSocketOption } from "./native.ts";
import { socketAddress } from "./rawsocket.ts";

// linux/socket.h, linux/net.h
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUF = 8;
const SO_MARK = 36;
// linux/in.h, linux/in6.h
const IPPROTO_IP = 0;
const IP_FREEBIND = 15;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_FREEBIND = 78;

export interface PortPlace {
  readonly protocol: "tcp" | "udp";
  /** 4 or 16 bytes in network order; zeros for any of that family alone. The host need not have it yet. */
  readonly address: Uint8Array;
  readonly port: number;
  /** What the socket is marked with (SO_MARK), for whoever meets it. */
  readonly mark: number;
  /** Whether other sockets that say the same may be bound there, too, until {@link keepAlone}. */
  readonly shared: boolean;
}

/**
 * Binds a socket and returns its descriptor; it does not listen.
 *
 * @throws TsnetError `conflict` if somebody has the port; `kernel-lacks` or `not-found` where there is no IPv6.
 */
export function bindPort({ protocol, address, port, mark, shared }: PortPlace): number {
  const four = address.length === 4;
  const type = (protocol === "tcp" ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check("socket", libc().socket(four ? AF_INET : AF_INET6, type, 0));
  try {
    setSocketOption(fd, SOL_SOCKET, SO_MARK, mark);
    setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, shared ? 1 : 0);
    if (four) setSocketOption(fd, IPPROTO_IP, IP_FREEBIND, 1);
    else {
      setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      setSocketOption(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
    }
    const there = socketAddress(address, port);
    check("bind", libc().bind(fd, there, there.length));
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** From now on nobody else gets the port, not even beside connections of it that are about to be forgotten. */
export function keepAlone(fd: number): void {
  setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 0);
}

/** What comes for a socket that nobody reads is not kept: its buffer is as small as the kernel has them. */
export function takeNothing(fd: number): void {
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, 0);
}

/** Lets go of a port. */
export function releasePort(fd: number): void {
  closeFd(fd);
}
