/**
 * One plugin at a time in a container's namespace, where two would find the same routing table free.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { flock, LOCK_EX, LOCK_NB } from "../sys/native.ts";
import type { Netns } from "../sys/netns.ts";

const DEADLINE_MS = 30_000;
const PAUSE_MS = 2;

/**
 * Takes the lock of the namespace, which ends as the handle is closed. The reference's sbr takes the same one. Waits
 * without blocking the process, in which the holder may be.
 *
 * @throws TsnetError `busy` after 30 s.
 */
export async function lockNamespace(netns: Netns): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!flock(netns.fd, LOCK_EX | LOCK_NB)) {
    if (performance.now() > deadline) {
      throw new TsnetError(`${netns.path} is locked by another plugin (waited ${DEADLINE_MS / 1000} s): try again`, {
        code: "busy",
        op: "lock namespace",
      });
    }
    await Bun.sleep(PAUSE_MS);
  }
}
