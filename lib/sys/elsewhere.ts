/**
 * The thread in another namespace for a moment: the one way there and back.
 *
 * @module
 */
import { setns } from "./native.ts";
import { closeFile, O_RDONLY, openFile } from "./posix.ts";
import { writeStderr } from "./stdio.ts";

export interface Journey<T> {
  /** As /proc/thread-self/ns calls it. */
  readonly kind: "net" | "uts" | "mnt";
  /** `CLONE_NEW*` of linux/sched.h for that kind. */
  readonly type: number;
  /** Where to, for the message of a way back that fails. */
  readonly from: string;
  readonly go: () => unknown;
  /** Synchronous: what is awaited would go on here or there. */
  readonly work: () => T;
  /** The way back to the namespace behind `home`; setns alone unless given. */
  readonly back?: (home: number) => void;
}

let journeys = 0;

/** Whether the thread is in another namespace than the process's own. */
export function isElsewhere(): boolean {
  return journeys > 0;
}

/** Goes, works and comes back. Aborts the process if that fails: anything else would go on in the wrong namespace. */
export function elsewhere<T>({ kind, type, from, go, work, back }: Journey<T>): T {
  // The thread's own link: in a worker, /proc/self is the main thread's.
  const home = openFile(`/proc/thread-self/ns/${kind}`, O_RDONLY);
  try {
    go();
    journeys++;
    try {
      return work();
    } finally {
      journeys--;
      try {
        if (back === undefined) setns(home, type);
        else back(home);
      } catch (error) {
        writeStderr(`tsnet: cannot return from ${from}: ${String(error)}\n`);
        process.abort();
      }
    }
  } finally {
    closeFile(home);
  }
}
