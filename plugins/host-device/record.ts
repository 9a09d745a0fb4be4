/**
 * What a device was on the host before a container got it: one file for each that is away. The alias in the kernel
 * holds its name, as with the reference plugin; the file holds the rest, and who has the device, for a DEL without the
 * namespace's path and for GC.
 *
 * @module
 */
import { objectOf } from "../../lib/cni/object.ts";
import type { Attachment, ConfigObject } from "../../lib/cni/types.ts";
import { isTsnetError } from "../../lib/errors.ts";
import {
  exists,
  isTemporary,
  lockFile,
  makeDirectory,
  namesIn,
  readIfThere,
  removeFile,
  replaceFile,
} from "../../lib/sys/files.ts";

export interface DeviceRecord {
  readonly attachment: Attachment;
  /** Path of the container's namespace. */
  readonly netns: string;
  /** Name, MAC and alias (empty for none) on the host, and whether it was up. */
  readonly device: string;
  readonly mac: string;
  readonly alias: string;
  readonly up: boolean;
}

const FOLDER = "/run/tsnet/host-device";

/** Written before the device is moved, so that a killed ADD is found. */
export function writeRecord(record: DeviceRecord): void {
  makeDirectory(FOLDER, 0o700);
  locked(() => replaceFile(pathOf(record.attachment), `${JSON.stringify(record)}\n`, 0o600));
}

export function readRecord(attachment: Attachment): DeviceRecord | undefined {
  return parseRecord(readIfThere(pathOf(attachment)));
}

/** With it goes what a killed ADD was about to write: only the holder of the lock writes, so none is of a living one. */
export function removeRecord(attachment: Attachment): void {
  if (!exists(FOLDER)) return;
  locked(() => {
    removeFile(pathOf(attachment));
    removeTemporaries();
  });
}

/** Removes what killed ADDs were about to write, of whatever network. */
export function sweepRecords(): void {
  if (exists(FOLDER)) locked(removeTemporaries);
}

/** What containers of a network have. */
export function recordsOf(network: string): readonly DeviceRecord[] {
  return allRecords().filter(({ attachment }) => attachment.network === network);
}

/** Whether the container has a device under that name from another network. */
export function isOfAnotherNetwork({ network, containerId, ifname }: Attachment): boolean {
  return allRecords().some(
    ({ attachment: one }) => one.containerId === containerId && one.ifname === ifname && one.network !== network,
  );
}

function allRecords(): readonly DeviceRecord[] {
  return namesIn(FOLDER)
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => parseRecord(readIfThere(`${FOLDER}/${name}`)) ?? []);
}

function removeTemporaries(): void {
  for (const name of namesIn(FOLDER)) if (isTemporary(name)) removeFile(`${FOLDER}/${name}`);
}

function locked(work: () => void): void {
  const lock = lockFile(`${FOLDER}/lock`);
  try {
    work();
  } finally {
    lock.release();
  }
}

function pathOf({ network, containerId, ifname }: Attachment): string {
  const key = [network, containerId, ifname].join("\0");
  return `${FOLDER}/${new Bun.CryptoHasher("sha256").update(key).digest("hex").slice(0, 32)}.json`;
}

/** A file that is not ours, or of another form, says nothing. */
function parseRecord(text: string | undefined): DeviceRecord | undefined {
  if (text === undefined) return undefined;
  try {
    return fromObject(objectOf(JSON.parse(text), "record"));
  } catch (error) {
    if (error instanceof SyntaxError || isTsnetError(error, "decoding")) return undefined;
    throw error;
  }
}

function fromObject(object: ConfigObject): DeviceRecord | undefined {
  const attachment = object.object("attachment");
  const text = (key: string, from: ConfigObject | undefined = object) => from?.string(key) ?? "";
  const device = text("device");
  if (attachment === undefined || device === "") return undefined;
  return {
    attachment: {
      network: text("network", attachment),
      containerId: text("containerId", attachment),
      ifname: text("ifname", attachment),
    },
    netns: text("netns"),
    device,
    mac: text("mac"),
    alias: text("alias"),
    up: object.boolean("up") ?? false,
  };
}
