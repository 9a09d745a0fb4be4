/**
 * TCP, also in the network namespace of somebody else; see datagrams.ts.
 *
 * @module
 */
import { hasErrno, messageOf, TsnetError } from "../errors.ts";
import { inside, type Netns } from "./netns.ts";

export interface TcpListener {
  readonly port: number;
  /** Stops listening and drops what is open. */
  close(): void;
}

/** One side of a connection. */
export interface TcpConnection {
  /** Sends all of it, now or as soon as the other side takes it. Who takes nothing for too long is dropped. */
  send(data: Uint8Array): void;
  /** Drops it at once. */
  abort(): void;
}

/** Who hears what a connection says. */
export interface TcpHearer {
  received(data: Buffer): void;
  /** It ended or broke; told once. */
  closed(): void;
}

export interface ListenOptions {
  /** The namespace to listen in, if not the one that the process is in. */
  readonly netns?: Netns;
  readonly address: string;
  readonly port: number;
  /** After so many seconds without a byte a connection is dropped. */
  readonly idleSeconds: number;
  readonly accepted: (connection: TcpConnection) => TcpHearer;
}

/**
 * Listens; the socket is bound when this returns.
 *
 * @throws TsnetError `conflict` if somebody has the port, `io` if the address is not of that namespace.
 */
export function listenTcp({ netns, address, port, idleSeconds, accepted }: ListenOptions): TcpListener {
  const open = () =>
    Bun.listen<Talk>({
      hostname: address,
      port,
      exclusive: true,
      socket: {
        ...handlers,
        open(socket) {
          const queue = new Outgoing(socket);
          socket.timeout(idleSeconds);
          socket.data = { queue, hearer: accepted(queue) };
        },
        data(socket, data) {
          socket.timeout(idleSeconds);
          handlers.data(socket, data);
        },
      },
    });
  try {
    const listener = netns === undefined ? open() : inside(netns, open);
    return { port: listener.port, close: () => listener.stop(true) };
  } catch (error) {
    throw new TsnetError(`cannot listen on ${address} port ${port}: ${messageOf(error)}`, {
      code: hasErrno(error, "EADDRINUSE") ? "conflict" : "io",
      op: "listen",
      cause: error,
    });
  }
}

/** Connects, from the namespace that the process is in. @throws TsnetError `io` if nobody takes the connection. */
export async function connectTcp(
  address: string,
  port: number,
  hear: (connection: TcpConnection) => TcpHearer,
): Promise<TcpConnection> {
  let made: Outgoing | undefined;
  try {
    await Bun.connect<Talk>({
      hostname: address,
      port,
      socket: {
        ...handlers,
        open(socket) {
          made = new Outgoing(socket);
          socket.data = { queue: made, hearer: hear(made) };
        },
      },
    });
  } catch (error) {
    throw new TsnetError(`cannot connect to ${address} port ${port}: ${messageOf(error)}`, {
      code: "io",
      op: "connect",
      cause: error,
    });
  }
  if (made !== undefined) return made;
  throw new TsnetError(`cannot connect to ${address} port ${port}`, { code: "io", op: "connect" });
}

interface Talk {
  readonly queue: Outgoing;
  readonly hearer: TcpHearer;
}

type Socket = Bun.Socket<Talk>;

const handlers = {
  data: (socket: Socket, data: Buffer) => socket.data?.hearer.received(data),
  drain: (socket: Socket) => socket.data?.queue.flush(),
  timeout: (socket: Socket) => socket.terminate(),
  close: (socket: Socket) => socket.data?.hearer.closed(),
  error: (socket: Socket) => socket.terminate(),
};

/** Bytes that may wait for the other side. */
const MOST_WAITING = 1024 * 1024;

/** Keeps what the socket does not take yet. */
class Outgoing implements TcpConnection {
  readonly #socket: Socket;
  #waiting: Uint8Array[] = [];
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(data: Uint8Array): void {
    // What came in is the runtime's buffer, and may be used again.
    this.#waiting.push(Uint8Array.from(data));
    this.#bytes += data.length;
    if (this.#waiting.length === 1) this.flush();
    if (this.#bytes > MOST_WAITING) this.abort();
  }

  abort(): void {
    this.#socket.terminate();
  }

  flush(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const taken = this.#socket.write(first);
      if (taken < 0) {
        // Closed: nobody will take the rest.
        this.#waiting = [];
        this.#bytes = 0;
        return;
      }
      this.#bytes -= taken;
      if (taken < first.length) {
        this.#waiting[0] = first.subarray(taken);
        return;
      }
      this.#waiting.shift();
    }
  }
}
