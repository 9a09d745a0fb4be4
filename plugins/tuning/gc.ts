/**
 * GC and STATUS.
 *
 * @module
 */
import { keptAttachments } from "../../lib/cni/attachments.ts";
import type { PluginCall } from "../../lib/cni/types.ts";
import { isTsnetError } from "../../lib/errors.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import { checkAllowed } from "./allowlist.ts";
import { type Backup, backupPath, backupsIn, readBackup, removeBackup, removeHalfWritten } from "./backup.ts";
import { parseConfig, parseDataDir } from "./config.ts";

/**
 * Removes the back-ups of this network that are of no attachment in the list. What the reference plugin wrote does not
 * say of which network it is, and stays.
 */
export async function gc(call: PluginCall): Promise<void> {
  const { name: network, raw } = call.conf;
  const kept = keptAttachments(call.conf);
  if (kept === undefined) return;
  const dataDir = parseDataDir(raw);
  const keep = new Set(kept.map((attachment) => backupPath(dataDir, attachment)));
  const attempts = new Attempts("GC tuning");
  for (const path of backupsIn(dataDir)) {
    if (keep.has(path)) continue;
    await attempts.try(() => {
      if (readable(path)?.network === network) removeBackup(path);
    });
  }
  await attempts.try(() => removeHalfWritten(dataDir, Date.now()));
  attempts.finish();
}

/** Whether an ADD could succeed: the config is in order, and the administrator's list allows what it sets. */
export async function status(call: PluginCall): Promise<void> {
  checkAllowed(parseConfig(call).sysctls);
}

function readable(path: string): Backup | undefined {
  try {
    return readBackup(path);
  } catch (error) {
    // Somebody else's file.
    if (isTsnetError(error, "decoding")) return undefined;
    throw error;
  }
}
