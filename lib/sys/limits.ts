/**
 * The limits of this process, and so of what it starts.
 *
 * @module
 */
import { readFile } from "./posix.ts";

/** How many open files a process that we start may ask for at most: the hard limit; Infinity if there is none. */
export function mostOpenFiles(): number {
  const [, hard = "unlimited"] = /^Max open files +\S+ +(\S+)/m.exec(readFile("/proc/self/limits")) ?? [];
  return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
}
