/**
 * Network namespaces: opening them, and doing something inside one for a moment.
 *
 * This file alone switches namespaces. `inside` takes a synchronous function because a switched thread that
 * awaits would take other work of the process with it; starting a program or an asynchronous file call there
 * would leave threads of the runtime's pool behind in the wrong namespace.
 *
 * @module
 */
import { hasErrno, isTsnetError, messageOf, TsnetError } from "../errors.ts";
import { elsewhere } from "./elsewhere.ts";
import { CLONE_NEWNET, setns } from "./native.ts";
import { closeFile, listDirectory, O_RDONLY, openFile, statusOf } from "./posix.ts";

/** Where `ip netns` keeps its names. */
export const NETNS_DIR = "/run/netns";

/** An open network namespace. The descriptor keeps the namespace alive until {@link Netns.close}. */
export interface Netns {
  readonly path: string;
  readonly fd: number;
  /** The namespace's identity on this host: two handles on the same namespace have the same one. */
  readonly inode: number;
  close(): void;
}

/**
 * Opens the namespace at `path` (`/run/netns/NAME`, `/proc/PID/ns/net`).
 *
 * @throws TsnetError `not-found` if nothing is there; `invalid-netns` if it is something else.
 */
export function openNetns(path: string): Netns {
  let fd: number;
  try {
    fd = openFile(path, O_RDONLY);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) {
      throw new TsnetError(`no network namespace at ${path}`, {
        code: "not-found",
        op: "open namespace",
        errno: "ENOENT",
        cause: error,
      });
    }
    throw new TsnetError(`cannot open the network namespace ${path}`, {
      code: "invalid-netns",
      op: "open namespace",
      cause: error,
    });
  }
  const status = statusOf(fd);
  // A name whose namespace was unmounted is an empty file on tmpfs; nsfs is the device that our own namespace is on.
  if (status.device !== statusOf("/proc/self/ns/net").device) {
    closeFile(fd);
    throw new TsnetError(`${path} is no network namespace`, { code: "invalid-netns", op: "open namespace" });
  }
  let open = true;
  return {
    path,
    fd,
    inode: status.inode,
    close() {
      if (open) closeFile(fd);
      open = false;
    },
  };
}

/** The namespace that this process is in. */
export function openOwnNetns(): Netns {
  return openNetns("/proc/self/ns/net");
}

/** Whether `path` leads to the namespace that this process is in; false if it leads nowhere. Opens nothing. */
export function isOwnNetns(path: string): boolean {
  try {
    const there = statusOf(path);
    const here = statusOf("/proc/self/ns/net");
    return there.inode === here.inode && there.device === here.device;
  } catch {
    return false;
  }
}

/**
 * Runs the synchronous `work` with the calling thread inside `target`, and comes back.
 *
 * Aborts the process if the way back fails: anything else would go on in the wrong namespace.
 */
export function inside<T>(target: Netns, work: () => T extends Promise<unknown> ? never : T): T {
  const { path: from, fd } = target;
  return elsewhere({ kind: "net", type: CLONE_NEWNET, from, go: () => setns(fd, CLONE_NEWNET), work });
}

/** Makes a named namespace as `ip netns add NAME` does and returns its path. @throws TsnetError `exists`. */
export async function addNetns(name: string): Promise<string> {
  const { bindNewNetns } = await import("./namespaces.ts");
  try {
    bindNewNetns(NETNS_DIR, name);
  } catch (error) {
    throw named("make", name, error);
  }
  return `${NETNS_DIR}/${name}`;
}

/** Removes a named namespace as `ip netns delete NAME` does; an absent one is fine. */
export async function removeNetns(name: string): Promise<void> {
  if (!netnsNames().includes(name)) return;
  const { unbindNetns } = await import("./namespaces.ts");
  try {
    unbindNetns(`${NETNS_DIR}/${name}`);
  } catch (error) {
    if (netnsNames().includes(name)) throw named("remove", name, error);
  }
}

function named(what: "make" | "remove", name: string, cause: unknown): TsnetError {
  const code = isTsnetError(cause) ? cause.code : "io";
  return new TsnetError(`cannot ${what} the network namespace ${name}: ${messageOf(cause)}`, {
    code,
    op: `${what} namespace`,
    cause,
  });
}

/** The named namespaces of this host, sorted. */
export function netnsNames(): readonly string[] {
  try {
    return listDirectory(NETNS_DIR).sort();
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return [];
    throw error;
  }
}
