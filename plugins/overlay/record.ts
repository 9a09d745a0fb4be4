/**
 * What ADD did, kept until DEL: the config that the working plugin was given, so that the same one takes the container
 * away, whatever became of the network's config and of subnet.env.
 *
 * Its file is also the attachment's lock. The working plugin inherits it: after an ADD that was killed, DEL waits for
 * the orphan that goes on, and finds all that it made.
 *
 * @module
 */
import { objectOf } from "../../lib/cni/object.ts";
import type { Attachment } from "../../lib/cni/types.ts";
import {
  type FileLock,
  lockFile,
  makeDirectory,
  namesIn,
  overwriteFile,
  readIfThere,
  removeFile,
} from "../../lib/sys/files.ts";
import type { PluginConf } from "./plan.ts";

/** It ends with the boot, as containers do. */
const RECORDS = "/run/tsnet/overlay/attachments";
/** Ms. A working plugin takes milliseconds, unless somebody holds up the kernel. */
const PATIENCE = 5000;

/** An attachment's record while its lock is held. */
export interface Attaching {
  /** For the working plugin to inherit. */
  readonly fd: number;
  /** Whether an earlier ADD left one. */
  readonly wasThere: boolean;
  write(conf: PluginConf): void;
  /** Undefined if there is none, or ADD was killed before it was written. */
  read(): PluginConf | undefined;
  remove(): void;
}

/**
 * Runs `work` with the attachment's lock held, making the record's file if need be.
 *
 * @throws TsnetError `busy` if an earlier call does not end.
 */
export async function withRecord<T>(attachment: Attachment, work: (record: Attaching) => Promise<T>): Promise<T> {
  const path = pathOf(attachment);
  const wasThere = readIfThere(path) !== undefined;
  makeDirectory(folderOf(attachment.network), 0o700);
  const lock: FileLock = lockFile(path, PATIENCE);
  try {
    return await work({
      fd: lock.fd,
      wasThere,
      write: (conf) => overwriteFile(path, `${JSON.stringify(conf)}\n`, 0o600),
      read: () => parseConf(readIfThere(path)),
      remove: () => void removeFile(path),
    });
  } finally {
    // One that nothing was written to was made for its lock alone.
    if (readIfThere(path) === "") removeFile(path);
    lock.release();
  }
}

/** The attachment's record without its lock; undefined if there is none. */
export function readRecord(attachment: Attachment): PluginConf | undefined {
  return parseConf(readIfThere(pathOf(attachment)));
}

/**
 * Waits for the calls of all attachments of `network` but `keep`, and forgets them.
 *
 * @throws TsnetError `busy`.
 */
export function forgetOthers(network: string, keep: readonly Attachment[]): void {
  const folder = folderOf(network);
  const kept = new Set(keep.map(nameOf));
  for (const name of namesIn(folder)) {
    if (kept.has(name)) continue;
    const lock = lockFile(`${folder}/${name}`, PATIENCE);
    removeFile(`${folder}/${name}`);
    lock.release();
  }
}

function pathOf(attachment: Attachment): string {
  return `${folderOf(attachment.network)}/${nameOf(attachment)}`;
}

function folderOf(network: string): string {
  return `${RECORDS}/${network}`;
}

/** Names of containers may be longer than those of files. */
function nameOf({ containerId, ifname }: Attachment): string {
  return new Bun.CryptoHasher("sha256").update(`${containerId}\0${ifname}`).digest("hex").slice(0, 32);
}

function parseConf(text: string | undefined): PluginConf | undefined {
  try {
    return text === undefined ? undefined : objectOf(JSON.parse(text), "record").raw;
  } catch {
    return undefined;
  }
}
