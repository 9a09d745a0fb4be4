/**
 * The resolver of one container: it listens inside the container's network namespace while its process stays on the
 * host, so that nothing runs in the container and no port of the host is taken.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { openUdp, type UdpSocket } from "../../lib/sys/datagrams.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import { listenTcp, type TcpConnection, type TcpHearer, type TcpListener } from "../../lib/sys/streams.ts";
import { RESOLVER } from "./address.ts";
import { HEADER_BYTES, RCODE, refuse, type Transport } from "./answer.ts";
import { Frames, frame } from "./frames.ts";
import { ensureRedirect, isRedirected } from "./redirect.ts";

/**
 * Beyond the ports that the kernel gives out by itself, so that no program of the container has it by chance. The
 * same one every time: a redirect that is there leads right after the helper was killed.
 */
const PORT = 61_053;
const DNS_PORT = 53;
/** RFC 7766 section 6.2.3 leaves it to the server. */
const IDLE_SECONDS = 30;
/** Questions that may wait for somebody else's answer at a time: one container shall not use up the host's sockets. */
const MOST_WAITING = 128;

/** Connections of a container at a time, for the same reason. */
const MOST_CONNECTIONS = 64;

/** Says what is answered; undefined: nothing. */
export type Say = (query: Buffer, transport: Transport) => Buffer | Promise<Buffer> | undefined;

export class NameServer {
  readonly #netns: Netns;
  readonly #sockets: Sockets;

  private constructor(netns: Netns, sockets: Sockets) {
    this.#netns = netns;
    this.#sockets = sockets;
  }

  /** Listens when the promise is kept. @throws TsnetError `io` where the namespace has no loopback that is up. */
  static async open(netns: Netns, say: Say): Promise<NameServer> {
    const server = new NameServer(netns, await openSockets(netns, [PORT, 0], limited(say)));
    try {
      ensureRedirect(netns, server.#sockets.port);
      return server;
    } catch (error) {
      server.close();
      if (!isTsnetError(error, "kernel-lacks")) throw error;
      // Without NAT the port itself has to be taken.
      return new NameServer(netns, await openSockets(netns, [DNS_PORT], limited(say)));
    }
  }

  /** Puts the redirect back if somebody took it away. */
  check(): void {
    const { port } = this.#sockets;
    if (port !== DNS_PORT && !isRedirected(this.#netns)) ensureRedirect(this.#netns, port);
  }

  /** Stops listening, which lets go of the namespace. */
  close(): void {
    this.#sockets.udp.close();
    this.#sockets.tcp.close();
  }
}

interface Sockets {
  readonly port: number;
  readonly udp: UdpSocket;
  readonly tcp: TcpListener;
}

/** The same port for both, the first of `ports` that is free. */
async function openSockets(netns: Netns, ports: readonly number[], say: Say): Promise<Sockets> {
  for (const [at, wanted] of ports.entries()) {
    let tcp: TcpListener | undefined;
    try {
      tcp = listenTcp({
        netns,
        address: RESOLVER,
        port: wanted,
        idleSeconds: IDLE_SECONDS,
        accepted: welcome(say),
      });
      const { port } = tcp;
      return { port, tcp, udp: await openAnswering({ netns, port, say }) };
    } catch (error) {
      tcp?.close();
      if (!isTsnetError(error, "conflict") || at === ports.length - 1) throw error;
    }
  }
  throw new Error("no port to try");
}

async function openAnswering({
  netns,
  port,
  say,
}: {
  readonly netns: Netns;
  readonly port: number;
  readonly say: Say;
}): Promise<UdpSocket> {
  const socket = await openUdp({
    netns,
    address: RESOLVER,
    port,
    received(query, from) {
      const said = say(query, "udp");
      if (said instanceof Promise) void said.then((answer) => socket.send(answer, from));
      else if (said !== undefined) socket.send(said, from);
    },
  });
  return socket;
}

/** Who hears a new connection; one too many is dropped. */
function welcome(say: Say): (connection: TcpConnection) => TcpHearer {
  let open = 0;
  return (connection) => {
    if (open >= MOST_CONNECTIONS) {
      connection.abort();
      return { received: () => {}, closed: () => {} };
    }
    open += 1;
    return new Talk(connection, say, () => {
      open -= 1;
    });
  };
}

/** A connection on which any number of questions come, answered as the answers are known: RFC 7766 section 6.2.1.1. */
class Talk implements TcpHearer {
  readonly #connection: TcpConnection;
  readonly #say: Say;
  readonly #frames = new Frames();
  readonly #left: () => void;
  #open = true;

  constructor(connection: TcpConnection, say: Say, left: () => void) {
    this.#connection = connection;
    this.#say = say;
    this.#left = left;
  }

  received(data: Buffer): void {
    for (const query of this.#frames.take(data)) {
      if (query.length < HEADER_BYTES) this.#connection.abort();
      const said = this.#say(query, "tcp");
      if (said instanceof Promise) void said.then((answer) => this.#send(answer));
      else if (said !== undefined) this.#send(said);
    }
  }

  closed(): void {
    if (this.#open) this.#left();
    this.#open = false;
  }

  #send(answer: Buffer): void {
    if (this.#open) this.#connection.send(frame(answer));
  }
}

function limited(say: Say): Say {
  let waiting = 0;
  return (query, transport) => {
    if (waiting >= MOST_WAITING) return refuse(query, RCODE.SERVFAIL);
    const said = say(query, transport);
    if (!(said instanceof Promise)) return said;
    waiting += 1;
    return said.finally(() => {
      waiting -= 1;
    });
  };
}
