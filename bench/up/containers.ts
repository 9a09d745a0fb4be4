/**
 * Containers with a published port each, ours by `tsnet up` and `tsnet down` of a file, the peer's by `podman run -d`
 * and `podman rm -f`: the same command on the same root, from nothing to the last port that answers beyond the host,
 * and to nothing again.
 *
 * podman has its default network, which stays when its containers go; our network is made and removed each time, and
 * with it the helper process that answers for names. podman is run as many times at once as there are processors, ours is
 * one command. Both keep their state in memory.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { HOST } from "../../test/e2e/world.ts";
import type { Series } from "../table.ts";
import { GROUP, Ground, rootOf, SERVER, type Side } from "./ground.ts";
import { pathOf } from "./peers.ts";
import { allAnswer, noneAnswers } from "./ready.ts";

const FIRST_PORT: Readonly<Record<Side, number>> = { ours: 20_000, peer: 30_000 };
const FOLDER = "/opt/bench";
/** `podman run` at a time. */
const AT_ONCE = availableParallelism();

/** Its CNI back end is what Debian's podman has without more; the limits are below what a container may be denied here. */
const PODMAN_CONF = `
[network]
network_backend = "cni"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

/** Ms of running and of removing. */
export interface Times {
  readonly run: Series;
  readonly remove: Series;
}

/** How a side runs and removes containers, numbered from 0. */
interface Runner {
  prepare(numbers: readonly number[]): Promise<void>;
  readonly run: (numbers: readonly number[]) => readonly string[];
  readonly remove: (numbers: readonly number[]) => readonly string[];
}

/** `size` containers in `rounds` measured rounds, ours and the peer's in turns. */
export async function containers(size: number, rounds: number, ours: string): Promise<Times> {
  await using ground = await Ground.make();
  const runners = { ours: tsnet(ground, ours), peer: await podman(ground) };
  const times: Times = { run: { ours: [], peer: [] }, remove: { ours: [], peer: [] } };
  // One of each first, which is not measured: both sides' programs are read from disk, and podman makes its network.
  for (const side of ["ours", "peer"] as const) await once(ground, side, runners[side], 1);
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (["ours", "peer"] as const) : (["peer", "ours"] as const);
    for (const side of order) {
      const { run, remove } = await once(ground, side, runners[side], size);
      times.run[side].push(run);
      times.remove[side].push(remove);
    }
  }
  return times;
}

async function once(
  ground: Ground,
  side: Side,
  runner: Runner,
  size: number,
): Promise<{ readonly run: number; readonly remove: number }> {
  const numbers = Array.from({ length: size }, (_, number) => number);
  const ports = numbers.map((number) => FIRST_PORT[side] + number);
  await runner.prepare(numbers);
  const before = await ground.look();
  const start = performance.now();
  await ground.host.ok(runner.run(numbers));
  await allAnswer(ground.beyond, HOST[4], ports);
  const run = performance.now() - start;
  const { ms: remove } = await ground.time(runner.remove(numbers));
  if (!(await noneAnswers(ground.beyond, HOST[4], ports)))
    throw new Error(`${side}: a container answers after its end`);
  // What podman leaves, its network and its notes, is its own affair.
  if (side === "ours") asBefore(before, await ground.look());
  return { run, remove };
}

function tsnet({ host }: Ground, program: string): Runner {
  const file = `${FOLDER}/tsnet.yaml`;
  return {
    async prepare(numbers) {
      const lines = numbers.map(
        (number) =>
          `  c${number}: { rootfs: ${rootOf("ours")}, ports: ["${FIRST_PORT.ours + number}:80"], command: ${JSON.stringify(SERVER)} }\n`,
      );
      await host.ok(["mkdir", "-p", FOLDER]);
      await host.ok(["tee", file], { stdin: `containers:\n${lines.join("")}` });
    },
    run: () => [program, "up", "-f", file],
    remove: () => [program, "down", "-f", file, "-t", "0"],
  };
}

async function podman({ host }: Ground): Promise<Runner> {
  const argv = [
    ...[pathOf("podman"), "--runtime", pathOf("runc"), "--cgroup-manager=cgroupfs"],
    ...["--root", "/run/podman/root", "--runroot", "/run/podman/run", "--storage-driver", "vfs"],
  ];
  await host.ok(["mkdir", "-p", "/etc/containers"]);
  await host.ok(["tee", "/etc/containers/containers.conf"], { stdin: PODMAN_CONF });
  // The number of a container is the last word but those of its command, which xargs puts in.
  const run = (number: string, port: string) => [
    ...[...argv, "run", "-d", "--name", `c${number}`, "-p", `${port}:80`, "--cgroup-parent", GROUP],
    ...["--rootfs", rootOf("peer"), ...SERVER],
  ];
  return {
    prepare: async () => {},
    run: (numbers) => {
      const one = run("$1", `$((${FIRST_PORT.peer} + $1))`).map((word) => (word.includes("$") ? `"${word}"` : word));
      const each = `printf '%s\\n' ${numbers.join(" ")} | xargs -P ${AT_ONCE} -n 1 sh -c '${one.join(" ")}' sh`;
      return ["sh", "-c", each];
    },
    remove: (numbers) => [...argv, "rm", "-f", "-t", "0", ...numbers.map((number) => `c${number}`)],
  };
}

/** @throws Error naming what is left, or gone, of the host as it was. */
function asBefore(before: string, after: string): void {
  const [was, is] = [before.split("\n"), after.split("\n")];
  const lost = was.filter((line) => !is.includes(line)).map((line) => `- ${line}`);
  const left = is.filter((line) => !was.includes(line)).map((line) => `+ ${line}`);
  if (lost.length + left.length > 0) throw new Error(`the host is not as before:\n${[...lost, ...left].join("\n")}`);
}
