/**
 * Who may work on a network at the same time: any number of ADDs, DELs and CHECKs, or one GC.
 *
 * The specification leaves it to the runtime to keep GC apart from ADD and DEL. A flock does it for every process
 * of the host that uses this library, and ends with the processes that hold it: plugins inherit the descriptor, so
 * one that outlives a killed caller still keeps GC away.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../errors.ts";
import { type FileLock, lockFile, makeDirectory } from "../sys/files.ts";

/** Where the locks of the networks lie; like the kernel's state, they end with the boot. */
export const LOCK_DIR = "/run/tsnet/runtime";

/** Milliseconds between two looks at a lock that somebody holds. */
const INTERVAL = 10;

/** `shared` among ADDs and DELs, `exclusive` for GC. */
export type LockKind = "shared" | "exclusive";

/**
 * Waits for the lock of `network`, without holding up the rest of the process.
 *
 * @throws TsnetError `busy` after `timeoutMs`.
 */
export async function lockNetwork(
  directory: string,
  network: string,
  { kind, timeoutMs }: { readonly kind: LockKind; readonly timeoutMs: number },
): Promise<FileLock> {
  makeDirectory(`${directory}/${network}`, 0o700);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return lockFile(`${directory}/${network}/lock`, 0, kind === "shared");
    } catch (error) {
      if (!isTsnetError(error, "busy")) throw error;
      if (performance.now() > deadline) throw stillBusy(network, { kind, timeoutMs });
      await Bun.sleep(INTERVAL);
    }
  }
}

function stillBusy(network: string, { kind, timeoutMs }: { readonly kind: LockKind; readonly timeoutMs: number }) {
  const who = kind === "shared" ? "a garbage collection is" : "ADDs or DELs are";
  return new TsnetError(`${who} still running on network "${network}" after ${timeoutMs} ms: try again`, {
    code: "busy",
    op: "lock network",
  });
}
