/**
 * One proxy on one fresh node, ours or the real kube-proxy: started, asked, changed, ended, and what that cost.
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Cluster } from "../../test/cluster/cluster.ts";
import { ok } from "../world.ts";
import { type Meter, openMeter } from "./meter.ts";
import { type BenchNode, makeNode, NODE_NAME } from "./node.ts";
import type { Service } from "./services.ts";
import { now } from "./watcher.ts";

export type Mode = "nftables" | "iptables";

export interface Program {
  readonly name: "ours" | "peer";
  readonly path: string;
  /** Beside the flags of both. */
  readonly args: readonly string[];
}

export interface Running {
  readonly node: BenchNode;
  readonly meter: Meter;
  /** From its start until connections pass to the services that were asked for, in ms. */
  readonly startMs: number;
  /** Ends it and removes its node. */
  stop(): Promise<void>;
}

export interface Start {
  readonly cluster: Cluster;
  readonly program: Program;
  readonly mode: Mode;
  /** What has to be reachable before it counts as started. */
  readonly reachable: readonly Service[];
  readonly patienceMs: number;
}

const DIAL_MS = 100;
let runs = 0;

export async function startProxy({ cluster, program, mode, reachable, patienceMs }: Start): Promise<Running> {
  const name = `${program.name}${++runs}`;
  const node = await makeNode(cluster, name);
  const meter = openMeter(`tsnet-bench-${process.pid}-${name}`);
  const log = `/run/${name}.log`;
  const script = `for door in ${meter.doors.join(" ")}; do echo 0 >$door; done; exec "$@" >${log} 2>&1`;
  const enter = ["nsenter", `--net=/run/netns/${name}`, "--", "sh", "-ec", script, "sh"];
  const flags = [
    `--kubeconfig=${cluster.proxyKubeconfig}`,
    `--hostname-override=${NODE_NAME}`,
    `--proxy-mode=${mode}`,
    "--conntrack-max-per-core=0",
    "--conntrack-tcp-timeout-established=0",
    "--conntrack-tcp-timeout-close-wait=0",
  ];
  const { executable, remove } = await coldCopy(program);
  const start = now();
  const child = cluster.host.spawn([...enter, executable, ...flags, ...program.args]);
  const stop = async () => {
    child.kill("SIGKILL");
    for (const pid of pidsIn(meter)) process.kill(pid, "SIGKILL");
    await child.exited;
    while (pidsIn(meter).length > 0) await Bun.sleep(10);
    meter.close();
    remove();
    await node.remove();
  };
  try {
    for (const { address } of reachable) {
      while ((await node.dial(address, DIAL_MS)) === undefined) {
        const late = now() - start > patienceMs;
        if (child.exitCode === null && !late) continue;
        const tail = (await cluster.host.run(["tail", "-n", "5", log])).stdout;
        throw new Error(`${program.path} ${late ? "is not ready" : "has ended"}: ${tail}`);
      }
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { node, meter, startMs: now() - start, stop };
}

/**
 * A copy that nobody has in memory yet: what a program's own file takes is charged to whoever reads it first, and that
 * shall be the group that is measured, on both sides.
 */
async function coldCopy({ name, path }: Program): Promise<{ executable: string; remove: () => void }> {
  const folder = mkdtempSync("/var/tmp/tsnet-bench-");
  const executable = `${folder}/${name === "ours" ? "kube-proxy" : "peer"}`;
  await ok("cp", path, executable);
  await ok(
    "dd",
    "if=/dev/null",
    `of=${executable}`,
    "oflag=nocache",
    "conv=notrunc,fdatasync",
    "count=0",
    "status=none",
  );
  return { executable, remove: () => rmSync(folder, { recursive: true }) };
}

function pidsIn(meter: Meter): readonly number[] {
  return readFileSync(meter.doors[0] ?? "", "utf8")
    .split("\n")
    .filter(Boolean)
    .map(Number);
}
