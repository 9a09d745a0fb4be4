/**
 * The throwaway host that both sides run on, one after the other: somebody beyond it, and for each side a folder of
 * its own with busybox in it to be a container's root.
 *
 * @module
 */
import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { type Netns, openNetns } from "../../lib/sys/netns.ts";
import type { Host } from "../../test/e2e/host.ts";
import { world } from "../../test/e2e/world.ts";

/** Both compared sides. */
export type Side = "ours" | "peer";

/** What a container's web server answers. */
export const PAGE = "here I am";

/** The command of every container: busybox has to be on that root. */
export const SERVER = ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"] as const;

/** Control groups are the machine's, not the host's: podman's are in this one, which goes with the host. */
export const GROUP = `tsnet-bench-up-${process.pid}`;

/** The root folder of a side's containers. */
export function rootOf(side: Side): string {
  return `/run/root-${side}`;
}

export class Ground implements AsyncDisposable {
  readonly host: Host;
  /** The machine beyond the host. */
  readonly beyond: Netns;

  private constructor(host: Host) {
    this.host = host;
    this.beyond = this.open("beyond");
  }

  static async make(): Promise<Ground> {
    const host = await world();
    const roots = [rootOf("ours"), rootOf("peer")].join(" ");
    // podman's locks are in /dev/shm, which is the machine's.
    await host.sh(`
      mount -t tmpfs tmpfs /dev/shm
      for root in ${roots}; do
        for folder in bin etc proc sys dev tmp run www; do mkdir -p $root/$folder; done
        cp "$(command -v busybox)" $root/bin/busybox
        echo '${PAGE}' >$root/www/index.html
      done`);
    return new Ground(host);
  }

  /** Opens a named namespace of the host. */
  readonly open = (name: string): Netns => {
    return openNetns(`/proc/${this.host.pid}/root/run/netns/${name}`);
  };

  /** Ms from the start of a program on the host to its end, which has to be a good one, and what it printed. */
  async time(argv: readonly string[]): Promise<{ readonly ms: number; readonly stdout: string }> {
    const start = performance.now();
    const stdout = await this.host.ok(argv);
    return { ms: performance.now() - start, stdout };
  }

  /** Links, addresses, rules and files of state: what a side has to put back. Connections end in their own time. */
  async look(): Promise<string> {
    return (await this.host.snapshot()).replace(/^# conntrack\n[\s\S]*?(?=^# files$)/m, "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.beyond.close();
    await this.host.destroy();
    removeGroups("/sys/fs/cgroup");
  }
}

/** Of each hierarchy that there is: one in the folder itself, or one a controller. */
function removeGroups(mount: string): void {
  for (const folder of [mount, ...readdirSync(mount).map((name) => `${mount}/${name}`)]) {
    if (existsSync(`${folder}/${GROUP}`)) removeGroup(`${folder}/${GROUP}`);
  }
}

function removeGroup(path: string): void {
  for (const one of readdirSync(path, { withFileTypes: true }))
    if (one.isDirectory()) removeGroup(`${path}/${one.name}`);
  rmdirSync(path);
}
