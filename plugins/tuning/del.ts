/**
 * DEL: interface and sysctls are what they were, as far as they are still there. What cannot be put back is told on
 * standard error and stops nothing: as a rule, the interface goes a moment later.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { messageOf } from "../../lib/errors.ts";
import { warn } from "../../lib/log.ts";
import { type LinkChanges, linkGet, linkSet } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { insideIfThere } from "../../lib/plugin/netns.ts";
import { readSysctl, writeSysctl } from "../../lib/sys/files.ts";
import { inside, type Netns } from "../../lib/sys/netns.ts";
import { type Backup, backupPath, readBackup, removeBackup } from "./backup.ts";
import { DATA_DIR, parseDataDir } from "./config.ts";
import { identityOf, restoring } from "./plan.ts";
import { sameValue } from "./sysctl.ts";

export async function del(call: PluginCall): Promise<void> {
  const path = backupPath(dataDirOf(call), call.attachment);
  const backup = attempt(`read ${path}`, () => readBackup(path));
  // A runtime calls DEL also after an ADD that failed because another network has the interface.
  if (backup?.network !== undefined && backup.network !== call.attachment.network) return;
  if (backup !== undefined) {
    attempt(`open ${call.netns}`, () =>
      insideIfThere(call.netns, (container, netns) => restore(container, netns, call.ifname, backup)),
    );
  }
  removeBackup(path);
}

function dataDirOf({ conf }: PluginCall): string {
  return attempt("read the config", () => parseDataDir(conf.raw)) ?? DATA_DIR;
}

function restore(container: RtSocket, netns: Netns, ifname: string, backup: Backup): void {
  const link = linkGet(container, ifname);
  // Of another interface that has the name now, nothing was changed.
  if (backup.link !== undefined && backup.link !== identityOf(netns.inode, link)) return;
  if (link !== undefined) restoreLink(container, ifname, restoring(backup));
  inside(netns, () => {
    for (const [file, { was, set }] of Object.entries(backup.sysctl ?? {})) {
      attempt(`put back ${file}`, () => {
        // Whoever set it since wants it so.
        if (sameValue(readSysctl(file) ?? was, set)) writeSysctl(file, was === "" ? "\n" : was);
      });
    }
  });
}

/** All at once; where one is refused, each for itself. */
function restoreLink(container: RtSocket, ifname: string, changes: LinkChanges): void {
  if (Object.keys(changes).length === 0) return;
  try {
    linkSet(container, ifname, changes);
  } catch {
    for (const [key, value] of Object.entries(changes)) {
      attempt(`put back ${key} of ${ifname}`, () => linkSet(container, ifname, { [key]: value }));
    }
  }
}

function attempt<T>(what: string, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    warn(`cannot ${what}: ${messageOf(error)}`);
    return undefined;
  }
}
