/**
 * What a container sees of files: its root and what is mounted in it, as an fstab(5) that `mount --all` carries out
 * in the container's mount namespace before the command starts.
 *
 * A container on the host's root sees the host's files, yet not its /run, where every other network namespace can
 * be entered; its own /proc, and a new /sys, since an old one lists the host's links. One on a root of its own
 * gets a /dev, too. Without privileges /proc/sys and /sys are read-only.
 *
 * @module
 */
import type { StartRecord } from "../state/records.ts";

/** One mount: a line of the table. */
export interface Mount {
  readonly source: string;
  /** As seen from inside: absolute, without links. */
  readonly target: string;
  readonly type: "none" | "proc" | "sysfs" | "tmpfs" | "devpts";
  readonly options: readonly string[];
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

const BETWEEN: Mount = { source: "tsnet", target: "/sys", type: "tmpfs", options: ["ro", "size=4k"] };

/** Whether the container has a /run of its own. */
export function hidesRun({ rootfs, privileged }: StartRecord): boolean {
  return rootfs !== undefined || !privileged;
}

/** The mounts of a container, in order. */
export function planMounts(plan: RootPlan): readonly Mount[] {
  const { start, folder, files, mounts } = plan;
  const { rootfs, privileged, shares } = start;
  const noDevices = rootfs !== undefined && !privileged ? ["nodev"] : [];
  return [
    { source: rootfs ?? "/", target: "/", type: "none", options: ["rbind", ...noDevices] },
    // A name of our own for the source: mount(8) passes over what seems to be mounted already.
    { source: "tsnet", target: "/proc", type: "proc", options: ["nosuid", "nodev", "noexec"] },
    ...(privileged ? [] : plan.guarded.map((path) => guard(plan.root, path))),
    // On the host's network it is the host's sysfs once more, which cannot be mounted right upon itself (EBUSY).
    ...(rootfs === undefined ? [BETWEEN] : []),
    {
      source: "tsnet",
      target: "/sys",
      type: "sysfs",
      options: [privileged ? "rw" : "ro", "nosuid", "nodev", "noexec"],
    },
    ...(rootfs === undefined ? [] : devices(folder)),
    ...(shares.includes("ipc")
      ? []
      : [
          {
            source: "tsnet",
            target: "/dev/shm",
            type: "tmpfs",
            options: ["nosuid", "nodev", "mode=1777", "size=64m"],
          } as const,
        ]),
    ...(hidesRun(start) ? [bind(`${folder}/run`, "/run", ["nosuid", "nodev"])] : []),
    // A connection to what is no socket is refused, as if the server were not there.
    ...plan.silenced.map((path) => bind("/dev/null", path)),
    ...files.map(({ source, target }) => bind(source, target)),
    ...mounts.map(({ source, target, readOnly, isFile }) =>
      bind(source, target, [...(readOnly ? ["ro"] : []), ...(isFile ? [] : noDevices)], "rbind"),
    ),
  ];
}

/** The table's text: fstab(5), with the targets below `root`. */
export function fstabText(root: string, mounts: readonly Mount[]): string {
  const line = ({ source, target, type, options }: Mount) =>
    [octal(source), octal(target === "/" ? root : `${root}${target}`), type, options.join(","), "0", "0"].join(" ");
  return `${mounts.map(line).join("\n")}\n`;
}

function guard(root: string, path: string): Mount {
  return { source: `${root}${path}`, target: path, type: "none", options: ["bind", "ro", "nosuid", "nodev", "noexec"] };
}

function devices(folder: string): readonly Mount[] {
  return [
    bind(`${folder}/dev`, "/dev", ["nosuid"]),
    ...DEVICES.map((name) => bind(`/dev/${name}`, `/dev/${name}`)),
    // Group 5 is tty everywhere.
    {
      source: "tsnet",
      target: "/dev/pts",
      type: "devpts",
      options: ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "nosuid", "noexec"],
    },
  ];
}

function bind(source: string, target: string, options: readonly string[] = [], how: "bind" | "rbind" = "bind"): Mount {
  return { source, target, type: "none", options: [how, ...options] };
}

function octal(path: string): string {
  return path.replace(/[\\\s]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
}
