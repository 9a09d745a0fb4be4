/**
 * The one process of a world that asks and answers in all of its namespaces: requests come as JSON lines on
 * standard input, and each is answered by one on standard output with the same `id`, in whatever order they are
 * ready. It ends with its input.
 *
 * @module
 */
import { writeSync } from "node:fs";
import { type Ask, ask, askAll, askUntil, awaitAnswer, floodOnce, type Many } from "./prober-asks.ts";
import { Loop } from "./prober-loop.ts";
import { strayAck } from "./prober-packets.ts";
import { serveSctp, serveTcp, serveUdp } from "./prober-servers.ts";
import {
  closeSocket,
  enter,
  IPPROTO_TCP,
  openSocket,
  type Peer,
  readReady,
  SOCK_RAW,
  sendOn,
  socketError,
} from "./prober-sockets.ts";

export interface Ports {
  readonly tcp: readonly number[];
  readonly udp: readonly number[];
  readonly sctp: readonly number[];
}

export type Request =
  | ({ readonly op: "serve"; readonly netns: string; readonly name: string } & Ports)
  | ({ readonly op: "ask" } & Many)
  | { readonly op: "until"; readonly ask: Ask; readonly forMs: number }
  | { readonly op: "open"; readonly ask: Ask }
  | { readonly op: "say"; readonly connection: number; readonly text: string; readonly timeoutMs: number }
  | { readonly op: "shut"; readonly connection: number }
  /** New flows as fast as possible, until stopped. */
  | { readonly op: "flood"; readonly asks: readonly Ask[] }
  | { readonly op: "stop"; readonly flood: number }
  | { readonly op: "stray"; readonly netns: string; readonly from: Peer; readonly to: Peer; readonly sequence: number };

type Done = (answer: object) => void;

/** Flows of each flood in one turn of the loop. */
const FLOOD_BURST = 4;

class Agent {
  readonly #loop = new Loop();
  readonly #connections = new Set<number>();
  readonly #floods = new Map<number, { readonly asks: readonly Ask[]; sent: number }>();
  #flood = 0;

  run(): never {
    let pending = "";
    this.#loop.add(0, () => {
      const bytes = readReady(0);
      if (bytes === undefined) process.exit(0);
      const lines = (pending + new TextDecoder().decode(bytes)).split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) this.#answer(line);
    });
    return this.#loop.run();
  }

  #answer(line: string): void {
    const { id, request }: { id: number; request: Request } = JSON.parse(line);
    const done = (answer: object) => void writeSync(1, `${JSON.stringify({ id, ...answer })}\n`);
    try {
      this.#handle(request, done);
    } catch (error) {
      done({ error: String(error) });
    }
  }

  #handle(request: Request, done: Done): void {
    switch (request.op) {
      case "serve":
        enter(request.netns);
        for (const port of request.tcp) serveTcp(this.#loop, request.name, port);
        for (const port of request.udp) serveUdp(this.#loop, request.name, port);
        for (const any of ["0.0.0.0", "::"]) serveSctp(this.#loop, request.name, any, request.sctp);
        done({});
        break;
      case "ask":
        askAll(this.#loop, request, (answers) => done({ answers }));
        break;
      case "until":
        askUntil(this.#loop, request.ask, performance.now() + request.forMs, (answer) => done({ answer }));
        break;
      case "stray":
        stray(request);
        done({});
        break;
      case "flood":
      case "stop":
        this.#flooding(request, done);
        break;
      default:
        this.#connection(request, done);
    }
  }

  #connection(request: Request & { op: "open" | "say" | "shut" }, done: Done): void {
    if (request.op === "open") {
      const opened = (answer: string, fd?: number) => {
        if (fd !== undefined) this.#connections.add(fd);
        done(fd === undefined ? { answer } : { answer, connection: fd });
      };
      ask(this.#loop, request.ask, opened, true);
    } else if (!this.#connections.has(request.connection)) {
      done({ answer: "closed" });
    } else if (request.op === "shut") {
      this.#connections.delete(request.connection);
      closeSocket(request.connection);
      done({});
    } else {
      this.#say(request, done);
    }
  }

  #say({ connection, text, timeoutMs }: { connection: number; text: string; timeoutMs: number }, done: Done): void {
    // What an earlier datagram met is not the answer to this one.
    socketError(connection);
    sendOn(connection, new TextEncoder().encode(text));
    const reading = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    awaitAnswer(this.#loop, connection, { timeoutMs, reading, done: (answer) => done({ answer }), keep: true });
  }

  #flooding(request: Request & { op: "flood" | "stop" }, done: Done): void {
    if (request.op === "flood") {
      this.#floods.set(++this.#flood, { asks: request.asks, sent: 0 });
      done({ flood: this.#flood });
    } else {
      done({ sent: this.#floods.get(request.flood)?.sent ?? 0 });
      this.#floods.delete(request.flood);
    }
    this.#loop.busy = this.#floods.size === 0 ? undefined : () => this.#burst();
  }

  #burst(): void {
    for (const flood of this.#floods.values()) {
      for (let i = 0; i < FLOOD_BURST; i++) floodOnce(flood.asks);
      flood.sent += FLOOD_BURST * flood.asks.length;
    }
  }
}

function stray({ netns, from, to, sequence }: Request & { op: "stray" }): void {
  enter(netns);
  const fd = openSocket(to.address, SOCK_RAW, IPPROTO_TCP);
  const sent = sendOn(fd, strayAck(from, to, sequence), { address: to.address, port: 0 });
  closeSocket(fd);
  if (!sent) throw new Error("the kernel did not take a stray segment");
}

new Agent().run();
