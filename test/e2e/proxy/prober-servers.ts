/**
 * The servers of the prober's agent. Each says `NAME CLIENT PORT OWN-ADDRESS OWN-PORT` to whoever connects, or sends a
 * datagram or an INIT; over TCP it then echoes whatever it is sent. All listen in the namespace that the thread is in.
 *
 * @module
 */
import type { Loop } from "./prober-loop.ts";
import { INIT, INIT_ACK, parseSctp, sctp } from "./prober-packets.ts";
import {
  accept,
  bindTo,
  closeSocket,
  IPPROTO_SCTP,
  listenOn,
  openSocket,
  type Peer,
  receiveOn,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  sendOn,
  takeMany,
} from "./prober-sockets.ts";

/** Serves a TCP port of both families. */
export function serveTcp(loop: Loop, name: string, port: number): void {
  const listener = openSocket("::", SOCK_STREAM);
  bindTo(listener, { address: "::", port });
  listenOn(listener);
  loop.add(listener, () => {
    for (let client = accept(listener); client !== undefined; client = accept(listener)) {
      sendOn(client.fd, greeting(name, client.peer, client.own));
      echo(loop, client.fd);
    }
  });
}

function echo(loop: Loop, fd: number): void {
  loop.add(fd, () => {
    const got = receiveOn(fd);
    if (got === "EAGAIN") return;
    if (typeof got !== "string" && got.data.length > 0) sendOn(fd, got.data);
    else {
      loop.remove(fd);
      closeSocket(fd);
    }
  });
}

function greeting(name: string, peer: Peer, own: Peer): Uint8Array {
  return new TextEncoder().encode(`${name} ${peer.address} ${peer.port} ${own.address} ${own.port}\n`);
}

/** Serves a UDP port of both families. */
export function serveUdp(loop: Loop, name: string, port: number): void {
  const fd = openSocket("::", SOCK_DGRAM);
  bindTo(fd, { address: "::", port });
  takeMany(fd);
  loop.add(fd, () => {
    for (let got = receiveOn(fd); typeof got !== "string"; got = receiveOn(fd)) {
      sendOn(fd, greeting(name, got.from, { address: "::", port }), got.from);
    }
  });
}

/** Answers each INIT to one of `ports` by an INIT ACK; `any` is the wildcard of a family. */
export function serveSctp(loop: Loop, name: string, any: string, ports: readonly number[]): void {
  const fd = openSocket(any, SOCK_RAW, IPPROTO_SCTP);
  takeMany(fd);
  loop.add(fd, () => {
    for (let got = receiveOn(fd); typeof got !== "string"; got = receiveOn(fd)) {
      const packet = parseSctp(got.data, any === "::" ? 6 : 4);
      if (packet?.type !== INIT || !ports.includes(packet.to)) continue;
      const cookie = greeting(
        name,
        { address: got.from.address, port: packet.from },
        { address: any, port: packet.to },
      );
      sendOn(fd, sctp(packet.to, packet.from, INIT_ACK, packet.tag, cookie), { address: got.from.address, port: 0 });
    }
  });
}
