/**
 * UDP sockets, also in the network namespace of somebody else: a socket belongs for ever to the namespace that it
 * was opened in, while the process stays in its own.
 *
 * @module
 */
import { hasErrno, messageOf, TsnetError } from "../errors.ts";
import { inside, type Netns } from "./netns.ts";

export interface UdpSocket {
  /** The port that it is bound to. */
  readonly port: number;
  /** Sends a datagram; one that the kernel does not take now is lost, as datagrams may be. */
  send(data: Uint8Array, to: UdpPeer): void;
  close(): void;
}

export interface UdpPeer {
  readonly address: string;
  readonly port: number;
}

export interface UdpOptions {
  /** The namespace to open it in, if not the one that the process is in. */
  readonly netns?: Netns;
  readonly address: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly received: (data: Buffer, from: UdpPeer) => void;
}

/**
 * Opens one; it is bound before the promise is.
 *
 * @throws TsnetError `conflict` if somebody has the port, `io` if the address is not of that namespace.
 */
export async function openUdp({ netns, address, port, received }: UdpOptions): Promise<UdpSocket> {
  const open = () => ({
    opening: Bun.udpSocket({
      hostname: address,
      port,
      socket: {
        data: (_, data, fromPort, from) => received(data, { address: from, port: fromPort }),
        // Somebody whom we answered is gone.
        error: () => {},
      },
    }),
  });
  const { opening } = netns === undefined ? open() : inside(netns, open);
  const socket = await opening.catch((error: unknown) => {
    throw cannotOpen(address, port, error);
  });
  return {
    port: socket.port,
    send: (data, to) => void attempt(() => socket.send(data, to.port, to.address)),
    close: () => socket.close(),
  };
}

export interface ConnectedUdp {
  send(data: Uint8Array): void;
  close(): void;
}

export interface ConnectedUdpOptions extends UdpPeer {
  readonly received: (data: Buffer) => void;
  /** Nobody is there, or no way leads there. */
  readonly failed: () => void;
}

/** Opens one that hears and reaches one peer alone, from a port that the kernel chooses. @throws TsnetError `io`. */
export async function connectUdp({ address, port, received, failed }: ConnectedUdpOptions): Promise<ConnectedUdp> {
  try {
    const socket = await Bun.udpSocket({
      // Left out, it is 0.0.0.0, from where no way leads to IPv6.
      hostname: address.includes(":") ? "::" : "0.0.0.0",
      connect: { hostname: address, port },
      socket: { data: (_, data) => received(data), error: failed },
    });
    return {
      send: (data) => {
        if (attempt(() => socket.send(data)) === undefined) failed();
      },
      close: () => socket.close(),
    };
  } catch (error) {
    throw cannotOpen(address, port, error);
  }
}

function attempt<T>(send: () => T): T | undefined {
  try {
    return send();
  } catch {
    return undefined;
  }
}

function cannotOpen(address: string, port: number, cause: unknown): TsnetError {
  return new TsnetError(`cannot open a UDP socket for ${address} port ${port}: ${messageOf(cause)}`, {
    code: hasErrno(cause, "EADDRINUSE") ? "conflict" : "io",
    op: "open socket",
    cause,
  });
}
