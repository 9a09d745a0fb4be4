/**
 * Paths as they are seen from within another root folder: a symbolic link in it leads to a place in it, whatever
 * it says. What is mounted or made for a container must never land in the host's files instead.
 *
 * @module
 */
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  rmdirSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import { hasErrno, messageOf, TsnetError } from "../errors.ts";

export type FileKind = "file" | "directory" | "missing";

/** Where a path ends once every link is followed. */
export interface Resolved {
  /** As seen from the root: absolute, no links, no `..`. */
  readonly path: string;
  readonly kind: FileKind;
}

// As many links as the kernel follows (MAXSYMLINKS of linux/namei.h).
const MOST_LINKS = 40;

/** Follows `path` within `root`; what is missing stays as it was written. */
export function resolveInside(root: string, path: string): Resolved {
  let rest = path.split("/");
  let done: string[] = [];
  let links = 0;
  let missing = false;
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      done = done.slice(0, -1);
      continue;
    }
    const here = [...done, part];
    const stat: Stats | undefined = missing ? undefined : statOf(`${root}/${here.join("/")}`);
    if (stat?.isSymbolicLink() !== true) {
      missing ||= stat === undefined;
      done = here;
      continue;
    }
    if (++links > MOST_LINKS)
      throw new TsnetError(`${root}${path}: too many symbolic links`, { code: "invalid", op: "resolve" });
    const target = readlinkSync(`${root}/${here.join("/")}`);
    if (target.startsWith("/")) done = [];
    rest = [...target.split("/"), ...rest];
  }
  const stat = missing ? undefined : statOf(`${root}/${done.join("/")}`);
  return {
    path: `/${done.join("/")}`,
    kind: stat === undefined ? "missing" : stat.isDirectory() ? "directory" : "file",
  };
}

/** What is at `path` on the host, links followed. */
export function kindOf(path: string): FileKind {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "missing" : stat.isDirectory() ? "directory" : "file";
}

/**
 * Makes an empty file or a folder at `path` (already resolved) within `root`, with the folders above it. Returns
 * what was made, outermost first.
 */
export function makeInside(root: string, path: string, kind: "file" | "directory"): readonly string[] {
  const made: string[] = [];
  const parts = path.split("/").filter(Boolean);
  for (const at of parts.keys()) {
    const here = `${root === "/" ? "" : root}/${parts.slice(0, at + 1).join("/")}`;
    const last = at === parts.length - 1;
    if (statOf(here) !== undefined) continue;
    try {
      if (last && kind === "file") closeSync(openSync(here, "wx", 0o644));
      else mkdirSync(here, 0o755);
    } catch (error) {
      throw new TsnetError(`cannot make ${here} to mount on: ${messageOf(error)}`, {
        code: "io",
        op: "make mount point",
        cause: error,
      });
    }
    made.push(here);
  }
  return made;
}

/** Removes what {@link makeInside} made, as far as it is still empty. */
export function removeMade(made: readonly string[]): void {
  for (const path of made.toReversed()) {
    const stat = statOf(path);
    if (stat === undefined || (stat.isFile() && stat.size > 0)) continue;
    try {
      if (stat.isDirectory()) rmdirSync(path);
      else unlinkSync(path);
    } catch (error) {
      if (!hasErrno(error, "ENOTEMPTY", "ENOENT", "EROFS", "EBUSY")) throw error;
    }
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (hasErrno(error, "ENOTDIR")) return undefined;
    throw error;
  }
}
