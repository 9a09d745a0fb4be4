/**
 * Relays: what comes to a bound socket is handed on to somebody else and the answers back, for packets that the
 * kernel would not translate.
 *
 * TCP goes through node:net, whose pipes heed that the other side is slower, and pass on that one side has said all
 * while the other still speaks.
 *
 * @module
 */
import { connect, createServer, type Socket } from "node:net";
import { messageOf, TsnetError } from "../errors.ts";
import { type ConnectedUdp, connectUdp, type UdpPeer } from "./datagrams.ts";

export interface Relay {
  /** Drops what is under way; what comes later goes to whoever is the target then. */
  drop(): void;
  /** Ends it at once, and closes its socket. */
  close(): void;
}

/** Where connections go now; undefined: nowhere, they are dropped. */
export type Target = () => UdpPeer | undefined;

/** Milliseconds without a datagram after which a UDP client is forgotten, as the kernel forgets a stream. */
const UDP_IDLE_MS = 120_000;
/** UDP clients at a time; the one that was longest silent goes first. */
const UDP_CLIENTS = 1024;

/** Listens on a bound TCP socket, which is the relay's from now on. @throws TsnetError `conflict`. */
export async function relayTcp(fd: number, target: Target): Promise<Relay> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const to = target();
    if (to === undefined) {
      client.destroy();
      return;
    }
    const there = connect({ host: to.address, port: to.port, allowHalfOpen: true, noDelay: true });
    join(client, there, open);
    join(there, client, open);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: unknown) => {
      server.close();
      reject(new TsnetError(`listen: ${messageOf(cause)}`, { code: "conflict", op: "relay", cause }));
    });
    server.listen({ fd }, resolve);
  });
  const drop = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    drop,
    close() {
      server.close();
      drop();
    },
  };
}

function join(from: Socket, to: Socket, open: Set<Socket>): void {
  open.add(from);
  from.pipe(to);
  from.on("error", () => to.destroy());
  from.on("close", () => {
    open.delete(from);
    // Ended well, the other may still speak; broken off, it may not.
    if (!from.readableEnded) to.destroy();
  });
}

/** Answers clients of a bound UDP socket, which is the relay's from now on, each by a socket of its own. */
export async function relayUdp(fd: number, target: Target): Promise<Relay> {
  const clients = new Clients();
  const socket = await Bun.udpSocket({
    // The runtime takes a bound descriptor, which its types do not tell.
    ...({ fd } as object),
    socket: {
      data(front, data, port, address) {
        const to = target();
        if (to === undefined) return;
        clients.send(`${address} ${port}`, to, data, (answer) => void front.send(answer, port, address));
      },
      // A client that was answered is gone.
      error: () => {},
    },
  });
  return {
    drop: () => clients.drop(),
    close() {
      socket.close();
      clients.drop();
    },
  };
}

interface Client {
  readonly socket: Promise<ConnectedUdp | undefined>;
  timer: ReturnType<typeof setTimeout>;
}

/** Who spoke to a UDP relay, by address and port; the one that spoke last stands last. */
class Clients {
  readonly #clients = new Map<string, Client>();

  send(key: string, to: UdpPeer, data: Uint8Array, received: (answer: Buffer) => void): void {
    const client = this.#clients.get(key) ?? this.#open(to, received, () => this.#forget(key));
    clearTimeout(client.timer);
    client.timer = setTimeout(() => this.#forget(key), UDP_IDLE_MS);
    this.#clients.delete(key);
    this.#clients.set(key, client);
    const [first] = this.#clients.keys();
    if (this.#clients.size > UDP_CLIENTS && first !== undefined) this.#forget(first);
    // What came in is the runtime's buffer, and may be used again.
    const copy = Uint8Array.from(data);
    void client.socket.then((socket) => socket?.send(copy));
  }

  drop(): void {
    for (const key of [...this.#clients.keys()]) this.#forget(key);
  }

  #open(to: UdpPeer, received: (answer: Buffer) => void, failed: () => void): Client {
    const socket = connectUdp({ ...to, received, failed }).catch(() => undefined);
    return { socket, timer: setTimeout(failed, UDP_IDLE_MS) };
  }

  #forget(key: string): void {
    const client = this.#clients.get(key);
    if (client === undefined) return;
    this.#clients.delete(key);
    clearTimeout(client.timer);
    void client.socket.then((socket) => socket?.close());
  }
}
