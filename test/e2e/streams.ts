/**
 * Connections that last, on a test host: what becomes of them when the container at their other end goes.
 *
 *     bun streams.ts echo PORT NAME           TCP and UDP, IPv4 and IPv6: answers whatever comes with NAME
 *     bun streams.ts tcp|udp ADDRESS PORT     one socket that asks every 20 ms; prints its pid, then each answer that differs
 *                                             from the one before, and `end` when TCP is ended by the other side
 *
 * The UDP client hears its peer's very address alone.
 *
 * @module
 */
import { connect, createServer } from "node:net";
import type { Host } from "./host.ts";

const THIS_FILE = import.meta.filename;
const EVERY_MS = 20;
/** vitest under Bun: its own executable is the runtime to start. */
const BUN_ENV = { BUN_BE_BUN: "1" };

/** A container's keys that make it an echo server at `port`. */
export function echoServer(port: number, name: string): string {
  const command = [process.execPath, THIS_FILE, "echo", String(port), name];
  return `command: ${JSON.stringify(command)}, environment: ${JSON.stringify(BUN_ENV)}`;
}

interface Reader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
}

/** A client that asks on and on. */
export class Stream {
  readonly #host: Host;
  readonly #reader: Reader;
  readonly #pid: string;
  #text = "";

  private constructor(host: Host, reader: Reader, first: string) {
    this.#host = host;
    this.#reader = reader;
    const end = first.indexOf("\n");
    this.#pid = first.slice(0, end);
    this.#text = first.slice(end + 1);
  }

  static async open(host: Host, netns: string, proto: "tcp" | "udp", address: string, port: number): Promise<Stream> {
    const argv = [process.execPath, THIS_FILE, proto, address, String(port)];
    const child = host.spawn(netns === "" ? argv : ["ip", "netns", "exec", netns, ...argv], { env: BUN_ENV });
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    return new Stream(host, reader, new TextDecoder().decode(value));
  }

  /** The next answer that is another one. @throws Error if there is none within `ms`. */
  async next(ms = 5000): Promise<string> {
    const late = Bun.sleep(ms).then(() => undefined);
    while (!this.#text.includes("\n")) {
      const read = await Promise.race([this.#reader.read(), late]);
      if (read === undefined || read.done) throw new Error(`no other answer within ${ms} ms`);
      this.#text += new TextDecoder().decode(read.value);
    }
    const [line = "", ...rest] = this.#text.split("\n");
    this.#text = rest.join("\n");
    return line;
  }

  async stop(): Promise<void> {
    await this.#host.run(["kill", this.#pid]);
  }
}

async function main([verb = "", first = "", second = ""]: readonly string[]): Promise<void> {
  console.log(process.pid);
  if (verb === "echo") await echo(Number(first), second);
  else if (verb === "tcp") overTcp(first, Number(second));
  else await overUdp(first, Number(second));
}

async function echo(port: number, name: string): Promise<void> {
  createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(`${name}\n`));
  }).listen(port, "::");
  await Bun.udpSocket({
    hostname: "::",
    port,
    // Who asked may be gone before the answer comes.
    socket: { data: (socket, _, fromPort, from) => void socket.send(name, fromPort, from), error: () => {} },
  });
}

let last = "";
function tell(line: string): void {
  if (line !== last) console.log(line);
  last = line;
}

function overTcp(address: string, port: number): void {
  const socket = connect({ host: address, port });
  const timer = setInterval(() => socket.write("?"), EVERY_MS);
  socket.on("data", (data) => tell(data.toString().split("\n")[0] ?? ""));
  socket.on("error", () => {});
  socket.on("close", () => {
    clearInterval(timer);
    tell("end");
  });
}

async function overUdp(address: string, port: number): Promise<void> {
  const socket = await Bun.udpSocket({
    hostname: address.includes(":") ? "::" : "0.0.0.0",
    connect: { hostname: address, port },
    // Where nobody listens at the moment, the next question may find somebody.
    socket: { data: (_, data) => tell(data.toString()), error: () => {} },
  });
  setInterval(() => {
    try {
      socket.send("?");
    } catch {
      // As above.
    }
  }, EVERY_MS);
}

if (import.meta.main) await main(process.argv.slice(2));
