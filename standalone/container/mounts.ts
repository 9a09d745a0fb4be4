/**
 * The container's root, put together in the mount namespace of its first process while that waits at the gate: what
 * root.ts planned, mounted by our own thread, which steps in for a moment.
 *
 * A failure leaves nothing: the namespace goes with the process.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import {
  changeRoot,
  insideMounts,
  makeUnbindable,
  mountBind,
  mountMove,
  mountNew,
  unmount,
} from "../../lib/sys/mounts.ts";
import { inside, openNetns } from "../../lib/sys/netns.ts";
import type { ProcessIdentity } from "../../lib/sys/process.ts";
import type { Prepared } from "./prepare.ts";
import type { Mount } from "./root.ts";

/** Mounts all, and makes it the only root there. @throws TsnetError saying what could not be mounted, and why. */
export function mountRoot(name: string, first: ProcessIdentity, { root, mounts, drop }: Prepared): void {
  const step = (what: string, work: () => void, words: Words = {}) => {
    try {
      work();
    } catch (error) {
      throw failure(`cannot ${what} of container ${name}`, error, words);
    }
  };
  const work = () => {
    for (const path of drop) step("leave the host's /run", () => unmount(path));
    // The host's root is bound with all that is in it, the container's folder with its new /proc included.
    for (const { type, source } of mounts) if (type === "move") step("keep the /proc", () => makeUnbindable(source));
    for (const one of mounts) step(`mount ${one.source} on ${one.target}`, () => mount(one, root), WORDS);
    step("change the root", () => changeRoot(root));
  };
  step("enter the mounts", () => {
    // A new sysfs shows the links of whoever mounts it.
    const netns = openNetns(`/proc/${first.pid}/ns/net`);
    try {
      inside(netns, () => insideMounts(first, work));
    } finally {
      netns.close();
    }
  });
}

function mount({ source, target, type, flags, data }: Mount, root: string): void {
  const place = target === "/" ? root : `${root}${target}`;
  if (type === "move") mountMove(source, place);
  else if (type === "bind" || type === "rbind") {
    mountBind({ source, target: place, recursive: type === "rbind", flags });
  } else mountNew({ source, target: place, type, flags, data });
}

type Words = Readonly<Record<string, string | undefined>>;

/** What an administrator makes of mount(2)'s errors. */
const WORDS: Words = {
  EACCES: "permission denied",
  EBUSY: "it is in use",
  EINVAL: "the kernel does not take it: there may be nothing that can be mounted, or an option that it does not know",
  ELOOP: "too many symbolic links",
  ENODEV: "this kernel has no such file system",
  ENOENT: "one of them is not there",
  ENOMEM: "the kernel has no memory left for it",
  ENOSPC: "there are as many mounts as the kernel allows: raise the sysctl fs.mount-max",
  ENOTDIR: "one is a folder and the other is not",
  EPERM: "we may not: run it as root with all capabilities",
};

function failure(what: string, cause: unknown, words: Words): TsnetError {
  if (!isTsnetError(cause)) return new TsnetError(`${what}: ${messageOf(cause)}`, { code: "io", op: OP, cause });
  const { code, errno, op } = cause;
  // Said already, by the step that failed inside.
  if (op === OP) return cause;
  const word = errno === undefined ? undefined : words[errno];
  const why = word === undefined ? messageOf(cause) : `${word} (${errno})`;
  return new TsnetError(`${what}: ${why}`, { code, op: OP, cause, ...(errno === undefined ? {} : { errno }) });
}

const OP = "make root";
