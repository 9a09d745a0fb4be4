/**
 * The programs, all of util-linux, that become a container's command one after the other. Pure.
 *
 *     sh                sets standard error aside
 *     nsenter --net     into its network namespace
 *     unshare           other namespaces of its own; forks, and the child is pid 1, which mounts its /proc. It keeps
 *                       the host's root, where the next programs are, with the folder "." in the new one
 *     sh                joins its control group and waits at the gate, a named pipe, while mounts and host name are
 *                       made; takes standard error back
 *     setsid            only on a terminal, which becomes the command's own
 *     setpriv           takes capabilities away, and sets supplementary groups
 *     unshare --root=.  into the root that was made, which needs no program of ours there, as its user; then the command
 *
 * The last two take no namespace, which nsenter refuses since util-linux 2.40.
 *
 * The gate opens by itself for nobody: if `tsnet` is killed before, the command is never started.
 *
 * @module
 */
import type { StartRecord } from "../state/records.ts";
import type { User } from "./user.ts";

/** Where the host's programs are. */
export type Programs = Readonly<Record<(typeof PROGRAMS)[number], string>>;

/** Programs of util-linux and a shell that starting takes. */
export const PROGRAMS = ["sh", "nsenter", "unshare", "setpriv", "setsid"] as const;

/** What Docker leaves a container by default: all others are about the host, not about the container. */
export const DEFAULT_CAPABILITIES = [
  "chown",
  "dac_override",
  "fsetid",
  "fowner",
  "mknod",
  "net_raw",
  "setgid",
  "setuid",
  "setfcap",
  "setpcap",
  "net_bind_service",
  "sys_chroot",
  "kill",
  "audit_write",
] as const;

export interface StartChain {
  readonly start: StartRecord;
  /** Path of the network namespace; empty for the host's. */
  readonly netns: string;
  /** The named pipe. */
  readonly gate: string;
  /** The folder that a container of its own pids and mounts has its /proc mounted on. */
  readonly proc: string;
  /** The file for what the first programs of the chain complain of. */
  readonly complaints: string;
  readonly user: User;
  readonly programs: Programs;
  /** Where it finds the host's root, whatever mounts it is in. */
  readonly hostRoot: string;
  /** Whether standard input is a terminal that is to be the command's own. */
  readonly terminal?: boolean | undefined;
  /** The control group that it joins if it may. */
  readonly cgroup?: string | undefined;
}

// The unshare that forks and waits says something when the command was killed (util-linux 2.38), which would be taken
// for the command's own.
const SET_ASIDE = 'exec 3>&2 2>>"$0"; exec "$@"';
// Joining a control group takes the kernel up to ten milliseconds, in which whoever joins another one to it can do
// nothing else: so it is done here, beside the mounts, and in time for all that is ever started.
const JOIN = '{ echo 0 >"$1/cgroup.procs"; } 2>/dev/null; shift; ';
// Opening a named pipe waits for whoever opens its other end. A shell adds to the environment, which is to be the
// file's alone.
const WAIT = ': <"$0"; exec 2>&3 3>&-; unset PWD OLDPWD SHLVL _; exec "$@"';

/** The command line that starts a container, in the root folder. */
export function startChain(chain: StartChain): readonly string[] {
  const { start, netns, complaints, user, programs, terminal } = chain;
  const options = namespacesOf(chain);
  return [
    programs.sh,
    "-c",
    SET_ASIDE,
    complaints,
    ...(netns === "" ? [] : [programs.nsenter, `--net=${netns}`, "--"]),
    ...(options.length === 0 ? [] : [programs.unshare, ...options, "--"]),
    ...waiting(chain),
    ...(terminal === true ? [programs.setsid, "--ctty"] : []),
    ...confined({ start, user, programs, workdir: start.workdir, command: start.command }),
  ];
}

type Waiting = Pick<StartChain, "programs" | "gate" | "cgroup">;

/** Whether a command line is that of the chain's program that waits at the gate. */
export function isWaiting(argv: readonly string[], chain: Waiting): boolean {
  return waiting(chain).every((word, at) => argv[at] === word);
}

function waiting({ programs, gate, cgroup }: Waiting): readonly string[] {
  return cgroup === undefined ? [programs.sh, "-c", WAIT, gate] : [programs.sh, "-c", `${JOIN}${WAIT}`, gate, cgroup];
}

/** What `unshare` does for the container, as its options; none if it shares all. */
function namespacesOf({ start, proc, hostRoot }: StartChain): readonly string[] {
  const own = (["mount", "uts", "ipc", "pid"] as const).filter((which) => !start.shares.includes(which));
  const forks = own.includes("pid");
  const namespaces = [...own.map((which) => `--${which}`), ...(forks ? ["--fork"] : [])];
  if (!own.includes("mount")) return namespaces;
  return [
    ...namespaces,
    // What the host unmounts later is unmounted here, too, and nothing the other way.
    "--propagation=slave",
    // Seen from ".", which is the container's already, while the root is the host's.
    ...(forks ? [`--mount-proc=${proc.slice(1)}`] : []),
    `--root=${hostRoot}`,
    "--wd=.",
  ];
}

export interface ExecChain {
  readonly start: StartRecord;
  readonly user: User;
  readonly programs: Programs;
  /** The container's first process. */
  readonly pid: number;
  readonly workdir: string;
  readonly command: readonly string[];
  /** Whether standard input is a terminal that is to be the command's own. */
  readonly terminal: boolean;
}

/**
 * The command line that runs a command in a running container. `nsenter` forks to step into the pid namespace,
 * waits, and ends as the command did. On a terminal the command leads a session of its own there, so that a shell
 * can do its job control and Ctrl-C is not for `nsenter`, too.
 */
export function execChain(chain: ExecChain): readonly string[] {
  const { programs, pid, terminal } = chain;
  const into = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root=/", `--wd=/proc/${pid}/root`];
  const session = terminal ? [programs.setsid, "--ctty"] : [];
  return [programs.nsenter, "--target", String(pid), ...into, "--", ...session, ...confined(chain)];
}

/** The chain's end: less rights, then the command in the root that "." is. */
function confined({ start, user, programs, workdir, command }: Omit<ExecChain, "pid" | "terminal">): readonly string[] {
  const { uid, gid, groups } = user;
  const bounds = ["-all", ...DEFAULT_CAPABILITIES.map((name) => `+${name}`)].join(",");
  const limits = ["--bounding-set", bounds, "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"];
  const less = [
    ...(start.privileged ? [] : limits),
    // It looks for a group of that name first, so that the last program is quicker where it can do it.
    ...(groups.length === 0 ? [] : ["--regid", String(gid), "--groups", groups.join(",")]),
  ];
  return [
    ...(less.length === 0 ? [] : [programs.setpriv, ...less, "--"]),
    programs.unshare,
    "--root=.",
    `--wd=${workdir}`,
    // Clears the supplementary groups.
    ...(groups.length === 0 ? [`--setgid=${gid}`] : []),
    // Last, since it takes the capabilities away that the steps before need.
    ...(uid === 0 ? [] : [`--setuid=${uid}`]),
    "--",
    ...command,
  ];
}

/** The command's environment: the file's, and what every program may count on; nothing of the caller's. */
export function environmentOf(start: StartRecord, user: User): Readonly<Record<string, string>> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: user.home,
    TERM: "xterm",
    HOSTNAME: start.hostname,
    ...start.environment,
  };
}
