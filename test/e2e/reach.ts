/**
 * Who reaches whom by TCP: one process a place asks all at once, so that a whole matrix costs one deadline.
 *
 *     bun reach.ts serve PORT                   listens on all addresses; prints `ready`
 *     bun reach.ts probe PORT ADDRESS...        prints the addresses that answer
 *
 * @module
 */
import { connect, createServer } from "node:net";
import type { Host } from "./host.ts";

const THIS_FILE = import.meta.filename;
/** Milliseconds; what is let through answers in one. */
const PATIENCE_MS = 1000;
const PORT = 7000;

/** Listens in namespaces ("" for the host itself). */
export async function listenIn(host: Host, places: readonly string[]): Promise<void> {
  await Promise.all(
    places.map(async (place) => {
      const argv = inside(place, [process.execPath, THIS_FILE, "serve", String(PORT)]);
      const first = await host.spawn(argv, { env: BUN_ENV }).stdout.getReader().read();
      if (first.done) throw new Error(`no server in ${place}`);
    }),
  );
}

/**
 * Asks from each place for each name's addresses, and returns who reaches whom: `a1: a2 b1-6`, one line a place. A
 * name alone is reached by all of its addresses, with `-4` or `-6` behind it by that family alone.
 */
export async function matrix(
  host: Host,
  places: readonly string[],
  names: Readonly<Record<string, Readonly<Record<4 | 6, string>>>>,
): Promise<string> {
  const lines = await Promise.all(
    places.map(async (place) => {
      const others = Object.entries(names).filter(([name]) => name !== (place === "" ? "host" : place));
      const addresses = others.flatMap(([, one]) => [one[4], one[6]]);
      const argv = inside(place, [process.execPath, THIS_FILE, "probe", String(PORT), ...addresses]);
      const reached = (await host.ok(argv, { env: BUN_ENV })).split("\n");
      const shown = others.flatMap(([name, one]) => {
        const by = ([4, 6] as const).filter((family) => reached.includes(one[family]));
        return by.length === 2 ? [name] : by.map((family) => `${name}-${family}`);
      });
      return `${place === "" ? "host" : place}: ${shown.join(" ")}`.trim();
    }),
  );
  return lines.join("\n");
}

// vitest under Bun: its own executable is the runtime to start, and no test variable must reach the child.
const BUN_ENV = { BUN_BE_BUN: "1" };

function inside(place: string, argv: readonly string[]): readonly string[] {
  return place === "" ? argv : ["ip", "netns", "exec", place, ...argv];
}

function serve(port: number): void {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end("here");
  });
  server.listen(port, "::", () => console.log("ready"));
}

async function probe(port: number, addresses: readonly string[]): Promise<void> {
  setTimeout(() => process.exit(0), PATIENCE_MS);
  await Promise.all(
    addresses.map(
      (address) =>
        new Promise<void>((resolve) => {
          const socket = connect({ host: address, port });
          socket.on("error", () => resolve());
          socket.on("data", () => {
            process.stdout.write(`${address}\n`);
            resolve();
          });
        }),
    ),
  );
  process.exit(0);
}

if (import.meta.main) {
  const [verb, port, ...addresses] = process.argv.slice(2);
  if (verb === "serve") serve(Number(port));
  else await probe(Number(port), addresses);
}
