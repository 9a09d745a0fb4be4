/**
 * Sockets that the service manager opened for us: sd_listen_fds(3).
 *
 * @module
 */
import { connect, createServer } from "node:net";
import { messageOf, TsnetError } from "../errors.ts";

/** SD_LISTEN_FDS_START of systemd/sd-daemon.h. */
const FIRST = 3;

/** The descriptors that were handed to this very process, from 3 on; none where no manager did. */
export function inheritedSockets(
  env: Readonly<Record<string, string | undefined>> = process.env,
  pid = process.pid,
): readonly number[] {
  if (Number(env.LISTEN_PID) !== pid) return [];
  const count = Number(env.LISTEN_FDS);
  return Number.isSafeInteger(count) && count > 0 ? Array.from({ length: count }, (_, i) => FIRST + i) : [];
}

export interface Handover {
  /** Takes no more. What the manager opened stays its own. */
  close(): void;
}

/**
 * Hands every connection to the listening socket `fd` on to the unix socket at `path`: the runtime's HTTP server cannot
 * be given a socket that is open already.
 *
 * @throws TsnetError `io` if `fd` is no listening socket.
 */
export async function handOver(fd: number, path: string): Promise<Handover> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const there = connect({ path, allowHalfOpen: true });
    client.pipe(there).pipe(client);
    client.on("error", () => there.destroy());
    there.on("error", () => client.destroy());
    // Who goes away before the answer wants none.
    client.on("close", () => there.destroy());
    there.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: unknown) => {
      reject(new TsnetError(`descriptor ${fd}: ${messageOf(cause)}`, { code: "io", op: "listen", cause }));
    });
    server.listen({ fd }, resolve);
  });
  return { close: () => void server.close() };
}
