/**
 * IPv4 datagrams on one link, below the kernel's own IP: how somebody speaks who has no address yet (packet(7)).
 *
 * The socket belongs for ever to the namespace that it was opened in, while the process stays in its own. The runtime
 * cannot wait for such a descriptor, so an open socket is looked at every few milliseconds: it is meant for the length
 * of a conversation, not of a life.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { check, EINTR, errno, failure, openLibc } from "./libc.ts";
import { attachFilter, closeFd } from "./native.ts";
import { inside, type Netns } from "./netns.ts";

// linux/socket.h, linux/if_ether.h, linux/in.h
const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_IP = 0x0800;
const IPPROTO_UDP = 17;

// Where the destination port stands behind an IPv4 header without options.
const PORT_OFFSET = 22;
const LOOK_MS = 10;
const SOCKADDR_LL = 20;

const SYMBOLS = {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64,
  },
  recvfrom: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.ptr],
    returns: FFIType.i64,
  },
} as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

function calls() {
  opened ??= openLibc(SYMBOLS);
  return opened;
}

export interface PacketSocket {
  /** Sends a whole IPv4 datagram to a link address of 6 bytes. @throws TsnetError with the errno. */
  send(datagram: Uint8Array, to: Uint8Array): void;
  close(): void;
}

export interface PacketSocketOptions {
  /** Where to open it, unless in the namespace that the process is in. */
  readonly netns?: Netns;
  /** Index of the link. */
  readonly link: number;
  /** Hears only UDP to this port. */
  readonly port: number;
  /** Called with each datagram, IPv4 header first, and the link address that it came from. */
  readonly received: (datagram: Buffer, from: Uint8Array) => void;
}

/** Opens one. @throws TsnetError with the errno: ENODEV if there is no such link, EPERM without CAP_NET_RAW. */
export function openPacketSocket({ netns, link, port, received }: PacketSocketOptions): PacketSocket {
  // Without a protocol it hears nothing until it is bound to its link.
  const open = () => check("socket", calls().socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const fd = netns === undefined ? open() : inside(netns, open);
  try {
    attachFilter(fd, { offset: PORT_OFFSET, value: port });
    const here = linkAddress(link, new Uint8Array(6));
    check("bind", calls().bind(fd, here, here.length));
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  const timer = setInterval(() => drain(fd, received), LOOK_MS);
  let isOpen = true;
  return {
    send(datagram, to) {
      const there = linkAddress(link, to);
      const sent = calls().sendto(fd, datagram, datagram.byteLength, 0, there, there.length);
      if (Number(sent) < 0) throw failure("send");
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      clearInterval(timer);
      closeFd(fd);
    },
  };
}

function drain(fd: number, received: PacketSocketOptions["received"]): void {
  // Whoever is told may close the socket, so all is read first.
  const heard: { readonly datagram: Buffer; readonly from: Uint8Array }[] = [];
  for (let one = receive(fd); one !== undefined; one = receive(fd)) heard.push(one);
  for (const { datagram, from } of heard) {
    if (datagram[9] === IPPROTO_UDP) received(datagram, from);
  }
}

function receive(fd: number): { readonly datagram: Buffer; readonly from: Uint8Array } | undefined {
  const buffer = Buffer.allocUnsafeSlow(2048);
  const sender = Buffer.alloc(SOCKADDR_LL);
  const { recvfrom } = calls();
  for (;;) {
    const length = Number(recvfrom(fd, buffer, buffer.length, 0, sender, new Uint32Array([sender.length])));
    if (length >= 0) return { datagram: buffer.subarray(0, length), from: sender.subarray(12, 18) };
    // EAGAIN; or ENETDOWN once, as the link goes down, when there is no answer either.
    if (errno() !== EINTR) return undefined;
  }
}

/**
 * struct sockaddr_ll: u16 family, be16 protocol, s32 link, u16 hardware type, u8 packet type, u8 length, 8 bytes of
 * address. linux/if_packet.h.
 */
function linkAddress(link: number, address: Uint8Array): Buffer {
  const bytes = Buffer.alloc(SOCKADDR_LL);
  bytes.writeUInt16LE(AF_PACKET, 0);
  bytes.writeUInt16BE(ETH_P_IP, 2);
  bytes.writeInt32LE(link, 4);
  bytes.writeUInt8(address.length, 11);
  bytes.set(address, 12);
  return bytes;
}
