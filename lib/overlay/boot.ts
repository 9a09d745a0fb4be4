/**
 * This boot of the host, as the overlay's files name it.
 *
 * @module
 */
import { readIfThere } from "../sys/files.ts";

/** The kernel's random id of this boot, the same in every container of the host. */
export function thisBoot(): string {
  return readIfThere("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}
