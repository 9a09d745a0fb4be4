/**
 * The daemon's clock: it goes on while the host sleeps, nobody sets it, and another process of this boot reads the same.
 *
 * @module
 */
import { type Clock, systemClock } from "../../../lib/daemon/clock.ts";
import { readIfThere } from "../../../lib/sys/files.ts";

/** `now` is ms since the boot, as CLOCK_BOOTTIME has it: proc_uptime(5). Exact to 10 ms. */
export const bootClock: Clock = {
  ...systemClock,
  now: () => Number.parseFloat(readIfThere("/proc/uptime") ?? "") * 1000,
};

/** Which boot the moments of {@link bootClock} are of. */
export function bootId(): string {
  return readIfThere("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}
