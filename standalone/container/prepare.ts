/**
 * The host's side of a container's root, before its command is started: its folder, the files of /etc, and the
 * places to mount on.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { exists, makeDirectory, overwriteFile, readIfThere } from "../../lib/sys/files.ts";
import { kindOf, makeInside, resolveInside } from "../../lib/sys/rooted.ts";
import { ensureSymlink, removeTree } from "../../lib/sys/trees.ts";
import type { ContainerRecord, StartRecord } from "../state/records.ts";
import { hostsText, type Naming, resolverText } from "./etc.ts";
import {
  type BoundFile,
  DEVICES,
  GUARDED,
  hidesRun,
  type Mount,
  planMounts,
  procOfItsOwn,
  RESOLVING_SOCKETS,
} from "./root.ts";
import { findUser, type User } from "./user.ts";

/** Where systemd-resolved says whom it asks. */
const RESOLVED_CONF = "/run/systemd/resolve/resolv.conf";

/** What starting needs to know of what was prepared. */
export interface Prepared {
  /** Where the new root is put together. */
  readonly root: string;
  /** What is mounted there, in order. */
  readonly mounts: readonly Mount[];
  /** Mounts of the host that would keep others' network namespaces alive if the container had them, too. */
  readonly drop: readonly string[];
  /** What was made in the rootfs to mount on. */
  readonly mountPoints: readonly string[];
}

/** @throws TsnetError `not-found` if the rootfs, a mount's source or the user is not there. Changes nothing. */
export function checkStart(name: string, { rootfs, mounts, user }: StartRecord): void {
  const missing = (what: string) =>
    new TsnetError(`container ${name}: ${what}`, { code: "not-found", op: "check container" });
  if (rootfs !== undefined && kindOf(rootfs) !== "directory")
    throw missing(`there is no folder ${rootfs} to be its rootfs`);
  for (const { source } of mounts) if (kindOf(source) === "missing") throw missing(`there is no ${source} to mount`);
  userOf({ rootfs, user });
}

/** The user that the file names, as the accounts of the container's root have it. */
export function userOf({
  rootfs = "/",
  user,
}: {
  readonly rootfs?: string | undefined;
  readonly user?: string | undefined;
}): User {
  const read = (path: string) =>
    readIfThere(`${rootfs === "/" ? "" : rootfs}${resolveInside(rootfs, path).path}`) ?? "";
  return findUser(user, { passwd: read("/etc/passwd"), group: read("/etc/group") });
}

/** Makes the container's folder anew. */
export function prepare({ name, start }: ContainerRecord, folder: string, naming: Naming): Prepared {
  const root = `${folder}/root`;
  for (const entry of ["root", "run", "dev", "etc", "proc"]) removeTree(`${folder}/${entry}`);
  for (const path of [root, `${folder}/run`, `${folder}/etc`, procOfItsOwn(folder)]) makeDirectory(path);
  if (start.rootfs !== undefined) prepareDevices(`${folder}/dev`);
  const made: string[] = [];
  const place = (target: string, kind: "file" | "directory") =>
    placeFor({ start, folder, name }, target, { kind, made });
  const files = writeEtc({ start, folder }, naming).flatMap((file) => placeEtc(file, { start, folder, place }));
  const mounts = start.mounts.map((mount) => {
    const isFile = kindOf(mount.source) === "file";
    return { ...mount, isFile, target: place(mount.target, isFile ? "file" : "directory") };
  });
  for (const path of start.rootfs === undefined ? [] : ["/proc", "/sys", "/dev", "/run"]) place(path, "directory");
  const plan = {
    root,
    folder,
    start,
    files,
    mounts,
    guarded: GUARDED.filter(exists),
    silenced: silencedFor(start, naming),
  };
  return {
    root,
    mounts: planMounts(plan),
    drop:
      start.rootfs === undefined && hidesRun(start)
        ? mountsBelowRun(readIfThere("/proc/self/mounts") ?? "", folder)
        : [],
    mountPoints: made,
  };
}

/** Mount points below /run, outermost only, except those that lead to `folder`. */
export function mountsBelowRun(mounts: string, folder: string): readonly string[] {
  const points = mounts.split("\n").map((line) => line.split(" ")[1] ?? "");
  const below = [...new Set(points)].filter(
    (point) => point.startsWith("/run/") && !`${folder}/`.startsWith(`${point}/`),
  );
  return below.filter((point) => !below.some((other) => point.startsWith(`${other}/`)));
}

/** Where the host's /run is seen. On the host's network the host's names are the right ones. */
function silencedFor(start: StartRecord, { network }: Naming): readonly string[] {
  return hidesRun(start) || network === "host" ? [] : RESOLVING_SOCKETS.filter((path) => kindOf(path) !== "missing");
}

function prepareDevices(folder: string): void {
  for (const path of ["pts", "shm"]) makeDirectory(`${folder}/${path}`);
  for (const name of DEVICES) overwriteFile(`${folder}/${name}`, "");
  ensureSymlink("/proc/self/fd", `${folder}/fd`);
  for (const [at, name] of ["stdin", "stdout", "stderr"].entries())
    ensureSymlink(`/proc/self/fd/${at}`, `${folder}/${name}`);
  ensureSymlink("pts/ptmx", `${folder}/ptmx`);
}

/** Writes the container's own files of /etc. */
function writeEtc(
  { start, folder }: Pick<ContainerRecord, "start"> & { readonly folder: string },
  naming: Naming,
): readonly BoundFile[] {
  if (start.shares.includes("mount")) return [];
  const host = { conf: readIfThere("/etc/resolv.conf") ?? "", upstream: readIfThere(RESOLVED_CONF) ?? "" };
  // On a root of its own there is no file of the host's to be right.
  const resolver = resolverText(naming, host) ?? (start.rootfs === undefined ? undefined : host.conf);
  const texts: Readonly<Record<string, string>> = {
    hosts: hostsText(naming),
    hostname: `${start.hostname}\n`,
    ...(resolver === undefined ? {} : { "resolv.conf": resolver }),
  };
  return Object.entries(texts).map(([name, text]) => {
    overwriteFile(`${folder}/etc/${name}`, text);
    return { source: `${folder}/etc/${name}`, target: `/etc/${name}` };
  });
}

/** On the host's root a file that is not there is not made: the host's /etc is not ours. */
function placeEtc(
  file: BoundFile,
  {
    start,
    folder,
    place,
  }: { readonly start: StartRecord; readonly folder: string; readonly place: (target: string, kind: "file") => string },
): readonly BoundFile[] {
  const { path, kind } = resolveInside(start.rootfs ?? "/", file.target);
  // A link into /run, as systemd-resolved makes it, leads to where nothing can be mounted but all can be written.
  const hidden = hidesRun(start) && path.startsWith("/run/");
  if (start.rootfs === undefined && kind === "missing" && !hidden) return [];
  const target = place(file.target, "file");
  if (!hidden) return [{ ...file, target }];
  overwriteFile(`${folder}${target}`, readIfThere(file.source) ?? "");
  return [];
}

/** Where `target` ends inside, with something there to mount on. */
function placeFor(
  { start, folder, name }: { readonly start: StartRecord; readonly folder: string; readonly name: string },
  target: string,
  { kind, made }: { readonly kind: "file" | "directory"; readonly made: string[] },
): string {
  const root = start.rootfs ?? "/";
  const found = resolveInside(root, target);
  const own = ownFolder(found.path, start);
  if (own) makeInside(folder, found.path, kind);
  else if (start.rootfs !== undefined) made.push(...makeInside(root, found.path, kind));
  else if (found.kind === "missing") {
    throw new TsnetError(
      `container ${name}: there is no ${target} on the host's root to mount on: make it, or give the container a rootfs`,
      {
        code: "not-found",
        op: "prepare container",
      },
    );
  }
  return found.path;
}

/** Whether a path is in a folder that is prepared on the host and then mounted: /run, and with a rootfs /dev. */
function ownFolder(path: string, start: StartRecord): boolean {
  return (hidesRun(start) && path.startsWith("/run/")) || (start.rootfs !== undefined && path.startsWith("/dev/"));
}
