/**
 * What a container's command writes: to a named pipe, which the host's helper reads into the log.
 *
 * While no helper runs it stands in the pipe for as long as the container runs, and who writes more than that holds
 * (64 KB) waits. There is no other reader for such times: whoever keeps the helper starts it again and again, and two
 * that read would have to agree on who does.
 *
 * @module
 */
import { unreadBytes } from "../../lib/sys/fifo.ts";

// What a helper that was killed needs to be back, and to read.
const LOGGED_TIMEOUT = 1000;

/** The path of the pipe in a container's folder. */
export function outputOf(folder: string): string {
  return `${folder}/output`;
}

/** The path of the log there. */
export function logOf(folder: string): string {
  return `${folder}/log`;
}

/** Whether all that was written is in the log. */
export function isLogged(folder: string): boolean {
  return unreadBytes(outputOf(folder)) === 0;
}

/** Waits until all that was written is in the log, but no longer than a second. */
export async function untilLogged(folder: string): Promise<void> {
  const deadline = performance.now() + LOGGED_TIMEOUT;
  while (!isLogged(folder) && performance.now() < deadline) await Bun.sleep(2);
}
