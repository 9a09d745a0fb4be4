/**
 * How unlikely the kernel is to end the proxy for its memory: as unlikely as kube-proxy, since a node whose Services
 * stand still gets no relief by it.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import { overwriteFile, readIfThere } from "../../lib/sys/files.ts";

const FILE = "/proc/self/oom_score_adj";

/** `score` is -1000 (never) to 1000. Less than it was takes CAP_SYS_RESOURCE; without it nothing is lost but that. */
export function adjustOomScore(score: number, log: Log): void {
  try {
    if (Number(readIfThere(FILE)) !== score) overwriteFile(FILE, String(score));
  } catch (error) {
    log.debug(2, "oom_score_adj stays as it is", { wanted: score, reason: messageOf(error) });
  }
}
