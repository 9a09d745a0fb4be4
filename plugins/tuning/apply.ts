/**
 * From the plan to the kernel: first what was is on disk, then the sysctls, then the interface, by one message.
 *
 * @module
 */
import type { Attachment } from "../../lib/cni/types.ts";
import { hasErrno, messageOf, TsnetError } from "../../lib/errors.ts";
import { linkSet } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { readSysctl, writeSysctl } from "../../lib/sys/files.ts";
import { inside, type Netns } from "../../lib/sys/netns.ts";
import type { Undo } from "../../lib/undo.ts";
import { type Backup, backupPath, removeBackup, writeBackup } from "./backup.ts";
import { type Found, type Plan, restoring } from "./plan.ts";
import type { Sysctl } from "./sysctl.ts";

/** Where to apply a plan. */
export interface Place {
  readonly container: RtSocket;
  readonly netns: Netns;
  readonly attachment: Attachment;
  readonly dataDir: string;
}

/** Makes what the plan says. `undo` is told of each step. @throws TsnetError naming what was refused. */
export function applyTuning(place: Place, plan: Plan, { link, sysctls, earlier }: Found, undo: Undo): void {
  const { container, netns, attachment, dataDir } = place;
  if (plan.backup !== undefined) keep(dataDir, backupPath(dataDir, attachment), plan.backup, earlier, undo);
  undo.add("sysctls", () => putBack(netns, plan.sysctls, sysctls));
  inside(netns, () => {
    for (const sysctl of plan.sysctls) set(sysctl);
  });
  if (link === undefined || Object.keys(plan.link).length === 0) return;
  const { mac, promisc, mtu, allmulti, txQueueLength } = link;
  const was = restoring({ mac, promisc, mtu, allmulti, txQLen: txQueueLength });
  // Of several changes the kernel may have made some when it refuses one.
  undo.add(`link ${link.name}`, () => linkSet(container, link.name, was));
  linkSet(container, link.name, plan.link);
}

/**
 * What the sysctls are; undefined for one that can only be written.
 *
 * @throws TsnetError `kernel-lacks` for one that is not there.
 */
export function readSysctls(netns: Netns, sysctls: readonly Sysctl[]): ReadonlyMap<string, string | undefined> {
  if (sysctls.length === 0) return new Map();
  return inside(netns, () => new Map(sysctls.map((sysctl) => [sysctl.file, read(sysctl)])));
}

function read({ file, key }: Sysctl): string | undefined {
  try {
    const value = readSysctl(file);
    if (value !== undefined) return value;
  } catch (error) {
    // A trigger such as route.flush, or stable_secret before it is set.
    if (hasErrno(error, "EIO", "EINVAL", "EACCES", "EPERM")) return undefined;
    throw error;
  }
  throw new TsnetError(`this kernel has no sysctl ${key} in the container's namespace (/proc/sys/${file})`, {
    code: "kernel-lacks",
    op: "tuning",
    errno: "ENOENT",
  });
}

/** Nothing at all would not be written, so an empty value is an empty line. */
function set({ key, file, value }: Pick<Sysctl, "key" | "file" | "value">): void {
  try {
    writeSysctl(file, value === "" ? "\n" : value);
  } catch (cause) {
    throw new TsnetError(`cannot set sysctl ${key} to ${JSON.stringify(value)}: ${messageOf(cause)}`, {
      code: hasErrno(cause, "EINVAL") ? "invalid" : "io",
      op: "tuning",
      cause,
    });
  }
}

function keep(dataDir: string, path: string, backup: Backup, earlier: Backup | undefined, undo: Undo): void {
  writeBackup(dataDir, path, backup);
  undo.add(`back-up ${path}`, () => {
    if (earlier === undefined) removeBackup(path);
    else writeBackup(dataDir, path, earlier);
  });
}

/** Only what another value is found at: not all that can be read can be written again. */
function putBack(netns: Netns, sysctls: readonly Sysctl[], found: ReadonlyMap<string, string | undefined>): void {
  inside(netns, () => {
    for (const { key, file } of sysctls.toReversed()) {
      const was = found.get(file);
      if (was !== undefined && readSysctl(file) !== was) set({ key, file, value: was });
    }
  });
}
