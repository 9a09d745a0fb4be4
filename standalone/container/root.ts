/**
 * What a container sees of files: its root and what is mounted in it, as a list that mounts.ts carries out in the
 * container's mount namespace before the command starts. Pure.
 *
 * A container on the host's root sees the host's files, yet not its /run, where every other network namespace can
 * be entered; its own /proc, and a new /sys, since an old one lists the host's links. One on a root of its own
 * gets a /dev, too. Without privileges /proc/sys and /sys are read-only.
 *
 * @module
 */
import type { MountFlag, NewMount } from "../../lib/sys/mounts.ts";
import type { StartRecord } from "../state/records.ts";

/** One mount. */
export interface Mount {
  readonly source: string;
  /** As seen from inside: absolute, without links. */
  readonly target: string;
  /** What it is of the source: the file or folder, that with all below it, the very mount; or a new file system. */
  readonly type: "bind" | "rbind" | "move" | NewMount["type"];
  /** Of one that is bound with all below it, those of the topmost. */
  readonly flags: readonly MountFlag[];
  /** Options of the file system's own, with commas between them. */
  readonly data?: string;
}

/** A file that is bound into /etc, and where its path ends inside. */
export interface BoundFile {
  readonly source: string;
  readonly target: string;
}

export interface RootPlan {
  /** Where the new root is put together. */
  readonly root: string;
  /** The container's folder, with what was prepared: run, dev. */
  readonly folder: string;
  readonly start: StartRecord;
  /** Files of /etc and the mounts of the file, their targets resolved. */
  readonly files: readonly BoundFile[];
  /** A file may be a device that somebody wants inside. */
  readonly mounts: readonly (StartRecord["mounts"][number] & { readonly isFile: boolean })[];
  /** Folders and files of /proc that are there on this kernel, of {@link GUARDED}. */
  readonly guarded: readonly string[];
  /** Of {@link RESOLVING_SOCKETS}, those that it would see. */
  readonly silenced: readonly string[];
}

/** By these a program would ask the host for names, past /etc/resolv.conf: of nscd and of nss-resolve. */
export const RESOLVING_SOCKETS = ["/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"] as const;

/** What Docker makes read-only, too: the last of them reboots the host. */
export const GUARDED = ["/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"] as const;

/** Device files that every program may count on. */
export const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"] as const;

const BETWEEN: Mount = { source: "tsnet", target: "/sys", type: "tmpfs", flags: ["ro"], data: "size=4k" };
const SHM: Mount = {
  source: "tsnet",
  target: "/dev/shm",
  type: "tmpfs",
  flags: ["nosuid", "nodev"],
  data: "mode=1777,size=64m",
};
// Group 5 is tty everywhere.
const PTS: Mount = {
  source: "tsnet",
  target: "/dev/pts",
  type: "devpts",
  flags: ["nosuid", "noexec"],
  data: "newinstance,ptmxmode=0666,mode=0620,gid=5",
};

/** Whether the container has a /run of its own. */
export function hidesRun({ rootfs, privileged }: StartRecord): boolean {
  return rootfs !== undefined || !privileged;
}

/** The mounts of a container, in order. */
export function planMounts(plan: RootPlan): readonly Mount[] {
  const { start, folder, files, mounts } = plan;
  const { rootfs, privileged, shares } = start;
  const noDevices = rootfs !== undefined && !privileged ? (["nodev"] as const) : [];
  return [
    { source: rootfs ?? "/", target: "/", type: "rbind", flags: noDevices },
    procOf(plan),
    ...(privileged ? [] : plan.guarded.map((path) => guard(plan.root, path))),
    // On the host's network it is the host's sysfs once more, which cannot be mounted right upon itself (EBUSY).
    ...(rootfs === undefined ? [BETWEEN] : []),
    {
      source: "tsnet",
      target: "/sys",
      type: "sysfs",
      flags: [...(privileged ? [] : (["ro"] as const)), "nosuid", "nodev", "noexec"],
    },
    ...(rootfs === undefined ? [] : devices(folder)),
    ...(shares.includes("ipc") ? [] : [SHM]),
    ...(hidesRun(start) ? [bind(`${folder}/run`, "/run", ["nosuid", "nodev"])] : []),
    // A connection to what is no socket is refused, as if the server were not there.
    ...plan.silenced.map((path) => bind("/dev/null", path)),
    ...files.map(({ source, target }) => bind(source, target)),
    ...mounts.map(({ source, target, readOnly, isFile }): Mount => {
      const flags = [...(readOnly ? (["ro"] as const) : []), ...(isFile ? [] : noDevices)];
      return { source, target, type: "rbind", flags };
    }),
  ];
}

/** Where the first process of a container mounts the /proc of its own pids: they are those of whoever mounts it. */
export function procOfItsOwn(folder: string): string {
  return `${folder}/proc`;
}

function procOf({ start, folder }: RootPlan): Mount {
  if (!start.shares.includes("pid")) return { source: procOfItsOwn(folder), target: "/proc", type: "move", flags: [] };
  return { source: "tsnet", target: "/proc", type: "proc", flags: ["nosuid", "nodev", "noexec"] };
}

function guard(root: string, path: string): Mount {
  return bind(`${root}${path}`, path, ["ro", "nosuid", "nodev", "noexec"]);
}

function devices(folder: string): readonly Mount[] {
  return [
    bind(`${folder}/dev`, "/dev", ["nosuid"]),
    ...DEVICES.map((name) => bind(`/dev/${name}`, `/dev/${name}`)),
    PTS,
  ];
}

function bind(source: string, target: string, flags: readonly MountFlag[] = []): Mount {
  return { source, target, type: "bind", flags };
}
