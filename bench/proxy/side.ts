/**
 * One proxy on one fresh node, ours or the real kube-proxy: started, asked, changed, ended, and what that cost.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Cluster } from "../../test/cluster/cluster.ts";
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
  /** The most resident memory of the proxy's own process, its program's file included, in MB (10^6 bytes). */
  resident(): number;
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
  const start = now();
  const child = cluster.host.spawn([...enter, program.path, ...flags, ...program.args]);
  const stop = async () => {
    child.kill("SIGKILL");
    for (const pid of pidsIn(meter)) process.kill(pid, "SIGKILL");
    await child.exited;
    while (pidsIn(meter).length > 0) await Bun.sleep(10);
    meter.close();
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
  return { node, meter, startMs: now() - start, resident: () => residentPeak(pidsIn(meter)), stop };
}

function pidsIn(meter: Meter): readonly number[] {
  return readFileSync(meter.doors[0] ?? "", "utf8")
    .split("\n")
    .filter(Boolean)
    .map(Number);
}

/** VmHWM of proc_pid_status(5): of the largest, as programs that it starts come and go. */
function residentPeak(pids: readonly number[]): number {
  const peaks = pids.map((pid) =>
    Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0),
  );
  return (Math.max(...peaks) * 1024) / 1e6;
}
