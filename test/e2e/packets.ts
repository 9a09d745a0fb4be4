/**
 * Who reaches whom, and as whom: a server that tells every caller the address that it sees, and a client, both
 * run inside a namespace of a test host.
 *
 *     bun packets.ts serve PORT NAME            TCP and UDP, IPv4 and IPv6; prints `ready`
 *     bun packets.ts ask tcp|udp ADDRESS PORT   prints `NAME ADDRESS` as the server sees it, or fails
 *
 * @module
 */
import { connect, createServer } from "node:net";
import type { Host } from "./host.ts";

const THIS_FILE = import.meta.filename;
const ASK_TIMEOUT_MS = 3000;

/** Starts a server in a namespace ("" for the host itself) and waits until it listens. */
export async function serve(host: Host, netns: string, port: number, name: string): Promise<void> {
  const child = host.spawn(inside(netns, [process.execPath, THIS_FILE, "serve", String(port), name]), { env: BUN_ENV });
  const reader = child.stdout.getReader();
  const first = await reader.read();
  if (first.done) throw new Error(`the server ${name} did not start: ${await new Response(child.stderr).text()}`);
}

/** Asks from a namespace ("" for the host itself); what the server said, or undefined if nothing came back. */
export async function ask(
  host: Host,
  netns: string,
  proto: "tcp" | "udp",
  address: string,
  port: number,
): Promise<string | undefined> {
  const argv = inside(netns, [process.execPath, THIS_FILE, "ask", proto, address, String(port)]);
  const { exitCode, stdout } = await host.run(argv, { env: BUN_ENV });
  return exitCode === 0 ? stdout.trim() : undefined;
}

// vitest under Bun: its own executable is the runtime to start, and no test variable must reach the child.
const BUN_ENV = { BUN_BE_BUN: "1" };

function inside(netns: string, argv: readonly string[]): readonly string[] {
  return netns === "" ? argv : ["ip", "netns", "exec", netns, ...argv];
}

async function main(args: readonly string[]): Promise<void> {
  const [verb, ...rest] = args;
  if (verb === "serve") await listen(Number(rest[0]), rest[1] ?? "");
  else await question(rest[0] ?? "", rest[1] ?? "", Number(rest[2]));
}

async function listen(port: number, name: string): Promise<void> {
  const answer = (address: string | undefined) => `${name} ${(address ?? "").replace(/^::ffff:/, "")}\n`;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(answer(socket.remoteAddress));
  });
  await new Promise<void>((resolve) => server.listen(port, "::", resolve));
  await Bun.udpSocket({
    hostname: "::",
    port,
    socket: {
      data(socket, _, fromPort, from) {
        try {
          socket.send(answer(from), fromPort, from);
        } catch {
          // No way back at the moment, as where an interface was taken away.
        }
      },
      // Who asked has gone before the answer came.
      error() {},
    },
  });
  console.log("ready");
}

async function question(proto: string, address: string, port: number): Promise<void> {
  setTimeout(() => process.exit(1), ASK_TIMEOUT_MS);
  if (proto === "tcp") {
    const socket = connect({ host: address, port });
    socket.on("error", () => process.exit(1));
    socket.on("data", (data) => {
      process.stdout.write(data);
      process.exit(0);
    });
    return;
  }
  const socket = await Bun.udpSocket({
    hostname: address.includes(":") ? "::" : "0.0.0.0",
    socket: {
      data(_, data) {
        process.stdout.write(data.toString());
        process.exit(0);
      },
    },
  });
  socket.send("?", port, address);
}

if (import.meta.main) await main(process.argv.slice(2));
