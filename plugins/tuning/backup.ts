/**
 * What an interface was before: a file a container's interface, in the reference plugin's place and form, so that
 * either of the two restores what the other changed. Beside the reference's keys ours say of which network it is, for
 * GC; of which link, for a second ADD; and which sysctls were what.
 *
 * @module
 */
import { parseJsonObject } from "../../lib/cni/object.ts";
import type { Attachment, ConfigObject } from "../../lib/cni/types.ts";
import {
  isTemporary,
  makeDirectory,
  modifiedAt,
  namesIn,
  readIfThere,
  removeFile,
  replaceFile,
} from "../../lib/sys/files.ts";

/** Of the interface only what was changed. */
export interface Backup {
  readonly mac?: string;
  readonly promisc?: boolean;
  /** Bytes. */
  readonly mtu?: number;
  readonly allmulti?: boolean;
  /** Packets. */
  readonly txQLen?: number;
  /** Absent in a file of the reference plugin. */
  readonly network?: string;
  /** The namespace's inode and the link's index: those of another life of the container's are not the same. */
  readonly link?: string;
  /** By file under /proc/sys: what it was, and what it was set to. */
  readonly sysctl?: Readonly<Record<string, SysctlChange>>;
}

export interface SysctlChange {
  readonly was: string;
  readonly set: string;
}

// Writing a back-up takes less than a millisecond.
const HALF_WRITTEN_MS = 60_000;

/** Where the back-up of an attachment lies. Id and interface hold no slash. */
export function backupPath(dataDir: string, { containerId, ifname }: Attachment): string {
  return `${dataDir}/${containerId}_${ifname}.json`;
}

/** @throws TsnetError `decoding` for what is none; `io`. */
export function readBackup(path: string): Backup | undefined {
  const text = readIfThere(path);
  return text === undefined ? undefined : parseBackup(parseJsonObject(text, path));
}

/** @throws TsnetError `io`. */
export function writeBackup(dataDir: string, path: string, backup: Backup): void {
  makeDirectory(dataDir, 0o700);
  replaceFile(path, JSON.stringify(backup, undefined, 1), 0o600);
}

/** Paths of all back-ups there, whoever wrote them. */
export function backupsIn(dataDir: string): readonly string[] {
  return namesIn(dataDir)
    .filter((name) => name.endsWith(".json"))
    .map((name) => `${dataDir}/${name}`);
}

/**
 * Removes what killed calls left half-written. Not the newest, as another call may be about to give it its name.
 *
 * @param now milliseconds since the epoch.
 */
export function removeHalfWritten(dataDir: string, now: number): void {
  for (const name of namesIn(dataDir).filter(isTemporary)) {
    const path = `${dataDir}/${name}`;
    if (now - (modifiedAt(path) ?? now) > HALF_WRITTEN_MS) removeFile(path);
  }
}

/** An absent file is fine. */
export function removeBackup(path: string): void {
  removeFile(path);
}

function parseBackup(object: ConfigObject): Backup {
  const [mac, mtu] = [object.string("mac") || undefined, object.integer("mtu") || undefined];
  const sysctl = object.object("sysctl");
  const values = {
    mac,
    promisc: object.boolean("promisc"),
    mtu,
    allmulti: object.boolean("allmulti"),
    txQLen: object.integer("txQLen"),
    network: object.string("network"),
    link: object.string("link"),
    sysctl: sysctl === undefined ? undefined : parseSysctls(sysctl),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function parseSysctls(object: ConfigObject): Readonly<Record<string, SysctlChange>> {
  return Object.fromEntries(
    object.keys().flatMap((file) => {
      const change = object.object(file);
      const [was, set] = [change?.string("was"), change?.string("set")];
      // A file that somebody else wrote must not lead us out of net.
      const inside = /^net\/[^\0]+$/.test(file) && !file.split("/").includes("..");
      return was === undefined || set === undefined || !inside ? [] : [[file, { was, set }]];
    }),
  );
}
