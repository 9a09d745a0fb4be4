/**
 * A whole host of its own for a test: network, mount and pid namespaces, with its own /run, /etc, /opt and
 * /var/lib over the machine's. Nothing that happens in it is seen outside, and all of it, processes included, is
 * gone when it is destroyed or when the test's process dies.
 *
 * @module
 */
import { existsSync, readlinkSync } from "node:fs";
import { resolve } from "node:path";
import type { Subprocess } from "bun";
import { cgroupNames, cgroupPath, removeCgroup } from "../../lib/sys/cgroup.ts";

export interface Output {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CniOutput extends Output {
  /** Standard output as JSON; undefined if it was empty. */
  readonly json: unknown;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface CniOptions {
  /** Container id, `c1` unless given. */
  readonly id?: string;
  /** Path of the namespace, or "" for none. */
  readonly netns?: string;
  /** `eth0` unless given. */
  readonly ifname?: string;
  readonly args?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Folder of the plugins, dist/cni unless given; it is also CNI_PATH. */
  readonly path?: string;
}

/** The folder that holds package.json. */
export const PROJECT = resolve(import.meta.dirname, "../..");
/** Our plugins, built. */
export const PLUGINS = `${PROJECT}/dist/cni`;
/** Our command, built. */
export const TSNET = `${PROJECT}/dist/tsnet`;

// Reading standard input ties the host's life to ours: the pipe closes when this process ends, however it ends.
// The shell stays to wait for cat, and as pid 1 reaps the orphans of killed calls: unreaped in a container's pid
// namespace, one would keep that namespace and its first process for ever.
const INIT = `
set -e
mount -t tmpfs -o mode=755 tmpfs /run
for dir in /etc /opt /var/lib; do
  mkdir -p /run/.over$dir/upper /run/.over$dir/work
  mount -t overlay overlay -o lowerdir=$dir,upperdir=/run/.over$dir/upper,workdir=/run/.over$dir/work $dir
done
mkdir -p /run/netns /var/lib/cni /run/lock
rm -rf /var/lib/cni/* /etc/cni /opt/cni /var/lib/tsnet
ip link set lo up
echo ready
cat >/dev/null
exit 0
`;

/** A throwaway host. */
export class Host {
  readonly #holder: Subprocess<"pipe", "pipe", "inherit">;
  /** Its init, as the machine numbers it. */
  readonly pid: number;

  private constructor(holder: Subprocess<"pipe", "pipe", "inherit">, pid: number) {
    this.#holder = holder;
    this.pid = pid;
  }

  static async create(): Promise<Host> {
    const args = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
    const holder = Bun.spawn(["unshare", ...args, "sh", "-c", INIT], { stdio: ["pipe", "pipe", "inherit"] });
    const reader = holder.stdout.getReader();
    const first = await reader.read();
    if (first.done || !new TextDecoder().decode(first.value).startsWith("ready")) {
      throw new Error("cannot make a test host: namespaces and overlay mounts need root");
    }
    const children = await Bun.file(`/proc/${holder.pid}/task/${holder.pid}/children`).text();
    return new Host(holder, Number(children.trim()));
  }

  /** The command line that runs `argv` on this host. */
  enter(argv: readonly string[]): string[] {
    return ["nsenter", "--target", String(this.pid), "--net", "--mount", "--pid", "--", ...argv];
  }

  /** Runs `argv` to its end on this host. With `env`, that is its whole environment beside PATH. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    const child = Bun.spawn(this.enter(argv), {
      stdio: [options.stdin === undefined ? "ignore" : Buffer.from(options.stdin), "pipe", "pipe"],
      ...(options.env === undefined ? {} : { env: { PATH: process.env.PATH ?? "", ...options.env } }),
      cwd: options.cwd ?? "/",
    });
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { exitCode, stdout, stderr };
  }

  /** Runs `argv` and returns its standard output. @throws Error if it fails. */
  async ok(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(argv, options);
    if (exitCode !== 0) throw new Error(`${argv.join(" ")} ended with ${exitCode}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Runs a shell script; for tests only, where it reads better than ten calls. */
  sh(script: string): Promise<string> {
    return this.ok(["sh", "-ec", script]);
  }

  /** Starts something that goes on until it is killed or the host is destroyed. */
  spawn(argv: readonly string[], options: RunOptions = {}): Subprocess<"ignore" | "pipe", "pipe", "pipe"> {
    return Bun.spawn(this.enter(argv), {
      stdio: ["ignore", "pipe", "pipe"],
      ...(options.env === undefined ? {} : { env: { PATH: process.env.PATH ?? "", ...options.env } }),
      cwd: options.cwd ?? "/",
    });
  }

  /** Makes a named namespace with lo up and returns its path. */
  async addNetns(name: string): Promise<string> {
    await this.ok(["ip", "netns", "add", name]);
    await this.ok(["ip", "-n", name, "link", "set", "lo", "up"]);
    return `/run/netns/${name}`;
  }

  /** Runs `argv` in a named namespace of this host. */
  inNetns(name: string, argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    return this.run(["ip", "netns", "exec", name, ...argv], options);
  }

  /** Calls a plugin as a runtime does. */
  async cni(verb: string, plugin: string, conf: object | string, options: CniOptions = {}): Promise<CniOutput> {
    const path = options.path ?? PLUGINS;
    const output = await this.run([`${path}/${plugin}`], {
      stdin: typeof conf === "string" ? conf : JSON.stringify(conf),
      env: {
        CNI_COMMAND: verb,
        CNI_CONTAINERID: options.id ?? "c1",
        CNI_NETNS: options.netns ?? "",
        CNI_IFNAME: options.ifname ?? "eth0",
        CNI_PATH: path,
        ...(options.args === undefined ? {} : { CNI_ARGS: options.args }),
        ...options.env,
      },
    });
    return { ...output, json: output.stdout.trim() === "" ? undefined : JSON.parse(output.stdout) };
  }

  /**
   * What the host looks like, for "as before": links, addresses, routes, rules of every back end and files of
   * state; without counters, handles, and the empty base chains that iptables-nft leaves behind.
   */
  async snapshot(): Promise<string> {
    const out = await this.run(["sh", "-c", SNAPSHOT]);
    return out.stdout;
  }

  /** The same, once nothing changes any more: of a link that came up the kernel makes some routes a moment later. */
  async atRest(): Promise<string> {
    for (let before = await this.snapshot(), looks = 1; ; looks++) {
      await Bun.sleep(50);
      const now = await this.snapshot();
      if (now === before || looks === 50) return now;
      before = now;
    }
  }

  async destroy(): Promise<void> {
    const groups = groupsOf(this.pid);
    this.#holder.stdin.end();
    await this.#holder.exited;
    // Control groups are the machine's, and those of this host's containers have no process any more.
    for (const group of groups) removeCgroup(group);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }
}

/** The control groups of the containers of a host: their names end in the number of its network namespace. */
function groupsOf(pid: number): readonly string[] {
  // It may be gone already: ctrl-C reaches the processes of a terminal all at once.
  if (!existsSync(`/proc/${pid}/ns/net`)) return [];
  const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1];
  const all = cgroupPath("tsnet");
  const names = all === undefined ? [] : cgroupNames(all).filter((name) => name.endsWith(`.${inode}`));
  return names.map((name) => `${all}/${name}`);
}

// iptables-nft's own tables are shared and never deleted: of them only what is not an empty base chain counts.
// Groups that the host itself joins (IGMP) are nobody's traffic. A bridge has a carrier and a link-local address only while it has a port that is up.
// The store's lock and last_reserved_ip stay by design.
const SNAPSHOT = `
echo "# links";  ip -o link | sed -E 's/^[0-9]+: //; s/@if[0-9]+/@if/; s/ state .*//; s/(NO-CARRIER,|,LOWER_UP)//g'
echo "# addresses"; ip -o addr | grep -v ' fe80:' | sed -E 's/^[0-9]+: //; s/valid_lft.*//; s/ tentative//'
echo "# routes"; ip route show table all | grep -vE 'fe80:|ff00:|^anycast|^broadcast' | sed 's/ linkdown//' | sort
echo "# rules"; ip rule; ip -6 rule
for save in iptables-nft-save ip6tables-nft-save iptables-legacy-save ip6tables-legacy-save; do
  echo "# $save"; $save 2>/dev/null | grep -vE '^(#|\\*|COMMIT|:[A-Z]+ (ACCEPT|DROP) )' | sed -E 's/ \\[[0-9]+:[0-9]+\\]$//'
  $save 2>/dev/null | grep -E '^:[A-Z]+ DROP ' | sed -E 's/ \\[[0-9]+:[0-9]+\\]$//'
done
echo "# nft"; for table in $(nft list tables | sed 's/^table //; s/ /,/'); do
  case $table in ip,filter|ip,nat|ip,mangle|ip,raw|ip6,filter|ip6,nat|ip6,mangle|ip6,raw) ;;
  *) nft -s list table $(echo $table | tr , ' ') ;; esac
done
echo "# netns"; ls /run/netns
echo "# conntrack"; conntrack -L 2>/dev/null | grep -v 'dst=224.0.0.' | sed -E 's/^([a-z0-9]+ +[0-9]+) [0-9]+ /\\1 /' | sort
echo "# files"; find /run/tsnet /run/cni /var/lib/cni /var/lib/tsnet -type f 2>/dev/null | grep -vE '/(lock|last_reserved_ip[^/]*)$' | sort
`;
