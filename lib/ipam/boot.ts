/**
 * Which boot of this host a file was written in.
 *
 * A reservation from before the boot belongs to nobody any more, for containers do not survive one. Its time of
 * writing alone cannot tell: a host without a clock of its own starts in the past and is set right while
 * containers already run. So what we write also carries the boot in the microseconds of its time, which costs no
 * file and leaves the reference's layout as it is.
 *
 * @module
 */
import { readIfThere } from "../sys/files.ts";

/** What this boot stamps its files with. */
export interface Boot {
  /** A time of writing of the last second that carries this boot. Milliseconds since the epoch. */
  stampedNow(): number;
  /** Whether a file last written at this time, in milliseconds since the epoch, is from before this boot. */
  isBefore(modifiedAt: number): boolean;
}

/** The boot that this host is in. Reads what it needs when it is asked. */
export function thisBoot(): Boot {
  let stamp: number | undefined;
  const microseconds = () => (stamp ??= stampOf(readIfThere("/proc/sys/kernel/random/boot_id") ?? ""));
  return {
    stampedNow() {
      const now = Date.now();
      const stamped = Math.floor(now / 1000) * 1000 + microseconds() / 1000;
      // Never in the future, which tools that look at times take offence at.
      return stamped <= now ? stamped : stamped - 1000;
    },
    isBefore: (at) => at < startedAt() && Math.round(at * 1000) % MICROSECONDS !== microseconds(),
  };
}

/** In a second. */
const MICROSECONDS = 1_000_000;

function stampOf(bootId: string): number {
  return (Number.parseInt(bootId.slice(0, 8), 16) || 0) % MICROSECONDS;
}

function startedAt(): number {
  const uptime = Number.parseFloat(readIfThere("/proc/uptime") ?? "");
  return Number.isNaN(uptime) ? 0 : Date.now() - uptime * 1000;
}
