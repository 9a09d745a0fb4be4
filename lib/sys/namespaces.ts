/**
 * Namespaces by the kernel's own calls, where programs of iproute2 and util-linux would each cost a process: network
 * namespaces with a name, the host name of another one, and the named pipe that a container's start waits at.
 *
 * As in netns.ts, a thread is elsewhere for synchronous work alone, and the process is aborted if the way back fails.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { hasErrno } from "../errors.ts";
import { elsewhere } from "./elsewhere.ts";
import { check, cString, openLibc } from "./libc.ts";
import { makeShared, mountBind, unmount } from "./mounts.ts";
import { CLONE_NEWNET, setns } from "./native.ts";
import {
  closeFile,
  makeOneDirectory,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_WRONLY,
  openFile,
  unlinkFile,
  writeFile,
} from "./posix.ts";

// linux/sched.h
const CLONE_NEWUTS = 0x04000000;

const SYMBOLS = {
  unshare: { args: [FFIType.i32], returns: FFIType.i32 },
  mkfifo: { args: [FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
} as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

function calls() {
  opened ??= openLibc(SYMBOLS);
  return opened;
}

/**
 * Makes a new network namespace and gives it the name `name` in `folder`, as `ip netns add` does: mounts in the folder
 * are seen in all mount namespaces, so that a name that is taken away is gone in all of them.
 *
 * @throws TsnetError `exists` if there is something of that name.
 */
export function bindNewNetns(folder: string, name: string): void {
  shareMounts(folder);
  const path = `${folder}/${name}`;
  closeFile(openFile(path, O_RDONLY | O_CREAT | O_EXCL, 0));
  try {
    elsewhere({
      kind: "net",
      type: CLONE_NEWNET,
      from: path,
      go: () => check("unshare", calls().unshare(CLONE_NEWNET)),
      work: () => mountBind({ source: "/proc/thread-self/ns/net", target: path }),
    });
  } catch (error) {
    unlinkFile(path);
    throw error;
  }
}

/** Takes the name of a namespace away, which ends with its last user; one that names nothing any more is fine. */
export function unbindNetns(path: string): void {
  unmount(path);
  unlinkFile(path);
}

/** Sets the host name in the UTS namespace of a process. */
export function nameHostOf(pid: number, name: string): void {
  const target = openFile(`/proc/${pid}/ns/uts`, O_RDONLY);
  try {
    elsewhere({
      kind: "uts",
      type: CLONE_NEWUTS,
      from: `the host name of process ${pid}`,
      go: () => setns(target, CLONE_NEWUTS),
      work: () => writeFile("/proc/sys/kernel/hostname", name, O_WRONLY),
    });
  } finally {
    closeFile(target);
  }
}

/** Makes a named pipe that its owner alone may open. */
export function makeFifo(path: string): void {
  check(`mkfifo ${path}`, calls().mkfifo(cString(path), 0o600));
}

/** A folder whose mounts are its own and shared; one that is so already stays as it is. */
function shareMounts(folder: string): void {
  try {
    makeOneDirectory(folder, 0o755);
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
  }
  try {
    makeShared(folder);
  } catch (error) {
    // It is no mount yet.
    if (!hasErrno(error, "EINVAL")) throw error;
    mountBind({ source: folder, target: folder, recursive: true });
    makeShared(folder);
  }
}
