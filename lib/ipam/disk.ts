/**
 * The directory where reservations are kept.
 *
 * The layout is the reference host-local's, file for file, so that either plugin can take over from the other
 * under running containers: `<dataDir>/<network>/<address>` holds `containerID\r\nifname`,
 * `last_reserved_ip.<set>` an address, and `lock` is held by flock for as long as anything is read to be changed.
 * A reservation appears whole or not at all (temporary file, fsync, link), so that a crash at any point leaves
 * either nothing or a reservation that DEL and GC can find.
 *
 * @module
 */
import { hasErrno, isTsnetError } from "../errors.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import {
  createFile,
  exists,
  type FileLock,
  isTemporary,
  lockFile,
  makeDirectory,
  modifiedAt,
  namesHolding,
  namesIn,
  overwriteFile,
  readIfThere,
  removeFile,
  replaceFile,
  setModifiedAt,
} from "../sys/files.ts";
import { type Boot, thisBoot } from "./boot.ts";
import { formatHolder, type Holder, type Owner, parseHolder } from "./holder.ts";
import type { LockedStore, Reservation, Store } from "./store.ts";

/** Where the reference keeps its networks. */
export const DEFAULT_DATA_DIR = "/var/lib/cni/networks";

/** The store of `network` below `dataDir`. */
export function diskStore(network: string, dataDir = DEFAULT_DATA_DIR, boot: Boot = thisBoot()): Store {
  const directory = `${dataDir}/${network}`;
  return {
    isThere: () => exists(directory),
    locked(work) {
      const lock = lockIn(directory);
      try {
        return work(new Directory(directory, boot, true));
      } finally {
        lock.release();
      }
    },
    view: () => new Directory(directory, boot, false),
  };
}

const LAST_RESERVED = "last_reserved_ip.";
const ADDRESS_NAME = /^[0-9a-fA-F.:]+$/;

/** Most calls find the directory there, so that is tried first. */
function lockIn(directory: string): FileLock {
  const path = `${directory}/lock`;
  try {
    return lockFile(path);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
    makeDirectory(directory);
    return lockFile(path);
  }
}

class Directory implements LockedStore {
  readonly #directory: string;
  readonly #boot: Boot;
  readonly #isLocked: boolean;
  readonly #holders = new Map<string, Holder>();

  constructor(directory: string, boot: Boot, isLocked: boolean) {
    this.#directory = directory;
    this.#boot = boot;
    this.#isLocked = isLocked;
  }

  reservations(): readonly Reservation[] {
    const found: Reservation[] = [];
    for (const name of namesIn(this.#directory)) {
      const address = addressOf(name);
      if (address !== undefined) found.push({ address, name });
      // Who writes one holds the lock: with it in our hands, what is there is from a crash.
      else if (this.#isLocked && isTemporary(name)) removeFile(`${this.#directory}/${name}`);
    }
    return found;
  }

  naming(containerId: string, reservations: readonly Reservation[]): readonly Reservation[] {
    const names = reservations.map(({ name }) => name);
    const found = new Set(namesHolding(this.#directory, names, containerId));
    return reservations.filter(({ name }) => found.has(name));
  }

  holderOf(reservation: Reservation): Holder {
    const known = this.#holders.get(reservation.name);
    if (known !== undefined) return known;
    const holder = parseHolder(this.#read(reservation));
    this.#holders.set(reservation.name, holder);
    return holder;
  }

  isFromBeforeBoot(reservation: Reservation): boolean {
    const at = modifiedAt(this.#path(reservation));
    return at !== undefined && this.#boot.isBefore(at);
  }

  reserve(address: Address, owner: Owner): boolean {
    const reservation = { address, name: formatAddress(address) };
    const path = this.#path(reservation);
    if (!createFile(path, formatHolder(owner), 0o600)) return false;
    this.#stamp(path);
    this.#holders.delete(reservation.name);
    return true;
  }

  takeOver(reservation: Reservation, owner: Owner): void {
    const path = this.#path(reservation);
    replaceFile(path, formatHolder(owner), 0o600);
    this.#stamp(path);
    this.#holders.delete(reservation.name);
  }

  release(reservation: Reservation): void {
    removeFile(this.#path(reservation));
    this.#holders.delete(reservation.name);
  }

  lastReserved(set: number): Address | undefined {
    return addressOf(readIfThere(`${this.#directory}/${LAST_RESERVED}${set}`)?.trim() ?? "");
  }

  setLastReserved(set: number, address: Address): void {
    // Losing it to a crash loses one turn of the round, so it is not worth an fsync.
    overwriteFile(`${this.#directory}/${LAST_RESERVED}${set}`, formatAddress(address), 0o600);
  }

  /** A file system that keeps no such times is no reason to fail: the time of writing alone has to do there. */
  #stamp(path: string): void {
    try {
      setModifiedAt(path, this.#boot.stampedNow());
    } catch (error) {
      if (!isTsnetError(error, "io")) throw error;
    }
  }

  #path(reservation: Reservation): string {
    return `${this.#directory}/${reservation.name}`;
  }

  /** Its text; something unreadable, such as a directory, is a reservation all the same. */
  #read(reservation: Reservation): string {
    try {
      return readIfThere(this.#path(reservation)) ?? "";
    } catch (error) {
      return `unreadable (${error instanceof Error ? error.message : error})`;
    }
  }
}

function addressOf(name: string): Address | undefined {
  if (!ADDRESS_NAME.test(name)) return undefined;
  try {
    return parseAddress(name);
  } catch {
    return undefined;
  }
}
