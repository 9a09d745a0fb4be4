/**
 * For how long nobody answered, on a test host: a client that asks by UDP every 20 ms, each time from a new port, so
 * that no connection that the kernel knows helps it on.
 *
 *     bun gaps.ts ADDRESS PORT   prints its pid; on SIGUSR1, once an answer to a later question has come, the longest
 *                                time in ms between two answers since the last SIGUSR1
 *
 * @module
 */
import type { Host } from "./host.ts";

const THIS_FILE = import.meta.filename;
const EVERY_MS = 20;
/** vitest under Bun: its own executable is the runtime to start. */
const BUN_ENV = { BUN_BE_BUN: "1" };

export class Asker {
  readonly #host: Host;
  readonly #lines: AsyncIterator<string>;
  readonly #pid: string;

  private constructor(host: Host, lines: AsyncIterator<string>, pid: string) {
    this.#host = host;
    this.#lines = lines;
    this.#pid = pid;
  }

  /** Asks from a namespace ("" for the host itself) on and on, until the host is destroyed. */
  static async start(host: Host, netns: string, address: string, port: number): Promise<Asker> {
    const argv = [process.execPath, THIS_FILE, address, String(port)];
    const child = host.spawn(netns === "" ? argv : ["ip", "netns", "exec", netns, ...argv], { env: BUN_ENV });
    const lines = linesOf(child.stdout);
    const { value } = await lines.next();
    return new Asker(host, lines, String(value));
  }

  /** The longest time without an answer since the last call, in ms; returns when answers come (again). */
  async longestGap(): Promise<number> {
    await this.#host.ok(["kill", "-USR1", this.#pid]);
    return Number((await this.#lines.next()).value);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = "";
  for await (const bytes of stream) {
    text += new TextDecoder().decode(bytes);
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

function main(address: string, port: number): void {
  let [last, longest, asked] = [performance.now(), 0, Number.POSITIVE_INFINITY];
  const answered = (sent: number) => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    if (sent <= asked) return;
    console.log(Math.round(longest));
    [longest, asked] = [0, Number.POSITIVE_INFINITY];
  };
  process.on("SIGUSR1", () => {
    asked = performance.now();
  });
  setInterval(() => void askOnce(address, port, answered), EVERY_MS);
  console.log(process.pid);
}

async function askOnce(address: string, port: number, answered: (sent: number) => void): Promise<void> {
  const sent = performance.now();
  const socket = await Bun.udpSocket({
    hostname: address.includes(":") ? "::" : "0.0.0.0",
    socket: {
      data(self) {
        answered(sent);
        self.close();
      },
      error() {},
    },
  });
  setTimeout(() => socket.close(), 1000);
  try {
    socket.send("?", port, address);
  } catch {
    // No way there at the moment.
  }
}

if (import.meta.main) main(process.argv[2] ?? "", Number(process.argv[3]));
