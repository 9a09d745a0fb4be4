/**
 * Whether a published port leads to its container: a page is fetched through it from beyond the host.
 *
 * Each try is a connection of its own, for a SYN that meets no rule yet is sent again only after a second.
 *
 * @module
 */
import type { Netns } from "../../lib/sys/netns.ts";
import { inTurn } from "../probe.ts";
import { PAGE } from "./ground.ts";

const PATIENCE_MS = 10_000;
/** What one try may take: far more than an answer does that comes at all. */
const TRY_MS = 200;

/** Returns when every one of `ports` has given its page. @throws Error if one does not within 10 s. */
export async function allAnswer(from: Netns, address: string, ports: readonly number[]): Promise<void> {
  await Promise.all(ports.map((port) => answers(from, address, port)));
}

/** Whether nobody is behind any of `ports`. */
export async function noneAnswers(from: Netns, address: string, ports: readonly number[]): Promise<boolean> {
  const pages = await Promise.all(ports.map((port) => fetchPage(from, address, port)));
  return pages.every((page) => page === undefined);
}

async function answers(from: Netns, address: string, port: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while ((await fetchPage(from, address, port)) === undefined) {
    if (performance.now() > deadline) throw new Error(`${address}:${port} leads to no container`);
    await Bun.sleep(1);
  }
}

/** The page, or undefined where the connection is refused, or ends without it. */
async function fetchPage(from: Netns, hostname: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let text = "";
  const socket = {
    open: (self: Bun.Socket) => void self.write("GET / HTTP/1.0\r\n\r\n"),
    data(self: Bun.Socket, data: Buffer) {
      text += data.toString();
      if (!text.includes(PAGE)) return;
      resolve(text);
      self.end();
    },
    connectError: () => resolve(undefined),
    close: () => resolve(undefined),
  };
  const connecting = inTurn(from, () => Bun.connect({ hostname, port, socket }));
  const timer = setTimeout(resolve, TRY_MS, undefined);
  void connecting.then(
    (connected) => promise.then(() => connected.terminate()),
    () => resolve(undefined),
  );
  return await promise.finally(() => clearTimeout(timer));
}

/** Returns when a datagram to the port has been answered: one is sent each millisecond. @throws Error after 10 s. */
export async function answersDatagrams(from: Netns, address: string, port: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<true>();
  const socket = await inTurn(from, () =>
    Bun.udpSocket({ hostname: "0.0.0.0", socket: { data: () => resolve(true) } }),
  );
  try {
    const deadline = performance.now() + PATIENCE_MS;
    do {
      if (performance.now() > deadline) throw new Error(`${address}:${port}/udp leads to no container`);
      socket.send("?", port, address);
    } while ((await Promise.race([promise, Bun.sleep(1)])) !== true);
  } finally {
    socket.close();
  }
}
