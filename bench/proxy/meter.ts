/**
 * What a process and all that it starts cost: CPU time and peak memory of a control group, by cgroup v2 or by v1,
 * whichever has the controllers on this machine.
 *
 * @module
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";

/** A group of its own for one process tree. */
export interface Meter {
  /** Files that a process writes 0 into to be in the group, with all that it starts from then on. */
  readonly doors: readonly string[];
  /** CPU time so far, in ms. */
  cpu(): number;
  /** The most memory that the group had at once, in MB (10^6 bytes). */
  peak(): number;
  /** Removes the group, which has to be empty. */
  close(): void;
}

/** @throws Error if neither version of control groups accounts for memory here. */
export function openMeter(name: string): Meter {
  const mounts = readFileSync("/proc/self/mounts", "utf8");
  const v2 = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
  if (v2 !== undefined && readFileSync(`${v2}/cgroup.controllers`, "utf8").includes("memory")) return meterV2(v2, name);
  const [memory, cpu] = ["memory", "cpuacct"].map((controller) => {
    const line = mounts
      .split("\n")
      .find((one) => / cgroup /.test(one) && one.split(" ")[3]?.split(",").includes(controller));
    return line?.split(" ")[1];
  });
  if (memory === undefined || cpu === undefined) throw new Error("no control groups that account for memory and CPU");
  return meterV1(`${memory}/${name}`, `${cpu}/${name}`);
}

function meterV2(mount: string, name: string): Meter {
  writeFileSync(`${mount}/cgroup.subtree_control`, "+memory +cpu");
  const path = `${mount}/${name}`;
  mkdirSync(path);
  return {
    doors: [`${path}/cgroup.procs`],
    cpu: () => Number(/^usage_usec (\d+)/m.exec(readFileSync(`${path}/cpu.stat`, "utf8"))?.[1]) / 1e3,
    peak: () => Number(readFileSync(`${path}/memory.peak`, "utf8")) / 1e6,
    close: () => rmdirSync(path),
  };
}

function meterV1(memory: string, cpu: string): Meter {
  const groups = [memory, cpu];
  for (const path of groups) mkdirSync(path);
  return {
    doors: groups.map((path) => `${path}/cgroup.procs`),
    cpu: () => Number(readFileSync(`${cpu}/cpuacct.usage`, "utf8")) / 1e6,
    peak: () => Number(readFileSync(`${memory}/memory.max_usage_in_bytes`, "utf8")) / 1e6,
    close: () => {
      for (const path of groups) rmdirSync(path);
    },
  };
}
