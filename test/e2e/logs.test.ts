/** Containers row 20, and how what containers write gets to their logs: by the host's one helper. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Host, TSNET } from "./host.ts";
import { eventually, Project } from "./standalone.ts";
import { world } from "./world.ts";

const FOLDER = "/run/tsnet/containers";

let host: Host;

beforeAll(async () => {
  host = await world();
});
afterAll(() => host.destroy());

/** Ends the helper and whoever would start it again. */
const KILL_ALL = `
  while pgrep --runstates R,S,D,T -x tsnet-helper >/dev/null; do
    pkill -9 -P 1 -x sh || true; pkill -9 -x tsnet-helper || true; sleep 0.05
  done`;

const script = (line: string) => `command: [sh, -c, ${JSON.stringify(line)}]`;
const logs = (name: string, ...args: readonly string[]) => host.ok([TSNET, "logs", ...args, name]);
const run = (name: string, line: string) => host.ok([TSNET, "run", "-d", "--name", name, "sh", "-c", line]);
const remove = (...names: readonly string[]) => host.ok([TSNET, "rm", "-f", "-t", "0", ...names]);

describe("the helper, killed with -9 under containers that write", () => {
  const LINES = 40_000;

  test("loses no line and doubles none, however often", async () => {
    const count = `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo $i; done; echo done; sleep infinity`;
    await run("counter", count);
    await run("other", count);
    for (let kills = 0; kills < 4; kills++) {
      const before = await helper();
      await Bun.sleep(Math.random() * 100);
      await host.sh(`kill -9 ${before}`);
      await eventually(async () => ![undefined, before].includes(await helper()), "another is there");
    }
    for (const name of ["counter", "other"]) {
      await eventually(async () => (await logs(name, "-n", "1")) === "done\n", `${name} has written all`, 20_000);
      const wanted = Array.from({ length: LINES }, (_, at) => `${at + 1}\n`).join("");
      expect((await logs(name)) === `${wanted}done\n`, name).toBe(true);
    }
    await remove("counter", "other");
  });

  test("what was written while there was none is in the log a second after another has begun", async () => {
    await run("waits", "sleep 0.5; echo before; sleep infinity");
    await host.sh(KILL_ALL);
    await host.ok(["sleep", "0.7"]);
    expect(await helper()).toBeUndefined();
    expect(await logs("waits")).toBe("");
    await run("next", "sleep infinity");
    await eventually(async () => (await logs("waits")) === "before\n", "it is there", 1000);
    await remove("waits", "next");
  });
});

describe("a flood", () => {
  beforeAll(async () => {
    await run("flood", "while :; do echo a line; done");
    await run("torrent", "yes a line of some length, as programs write them");
  });
  afterAll(() => remove("flood", "torrent"));

  test("never takes more than 10 MB, in files of root's alone", async () => {
    await eventually(
      async () => (await host.run(["test", "-e", `${FOLDER}/torrent/log.1`])).exitCode === 0,
      "it turns",
    );
    for (let look = 0; look < 20; look++) {
      const files = await host.sh(`stat -c '%a %s' ${FOLDER}/torrent/log ${FOLDER}/torrent/log.1 2>/dev/null || true`);
      const rows = files
        .trim()
        .split("\n")
        .map((line) => line.split(" "));
      expect(rows.reduce((sum, [, size]) => sum + Number(size), 0)).toBeLessThanOrEqual(10_000_000);
      expect(new Set(rows.map(([mode]) => mode))).toEqual(new Set(["600"]));
    }
    expect(await host.ok(["stat", "-c", "%a %F", `${FOLDER}/torrent/output`])).toBe("600 fifo\n");
  });

  test("keeps the lines of others waiting for no longer than usual", async () => {
    await run("quiet", "while :; do date +%s%N; sleep 0.1; done");
    const following = host.spawn([TSNET, "logs", "-f", "quiet"]);
    const delays: number[] = [];
    for await (const chunk of following.stdout) {
      const last = new TextDecoder().decode(chunk).trim().split("\n").at(-1) ?? "";
      delays.push(Date.now() - Number(last) / 1e6);
      if (delays.length === 15) break;
    }
    following.kill();
    await following.exited;
    // The median: the machine may be busy with something else for a moment.
    expect(delays.toSorted((a, b) => a - b)[7]).toBeLessThan(100);
    await remove("quiet");
  });

  test("keeps the helper from nothing: ends are noted, names answered, and what is taken away is put back", async () => {
    await run("named", "sleep infinity");
    await run("short", "exit 7");
    const statusOf = async (name: string) => {
      const rows = JSON.parse(await host.ok([TSNET, "ps", "-a", "-o", "json"])) as { name: string; status: string }[];
      return rows.find((row) => row.name === name)?.status;
    };
    await eventually(async () => (await statusOf("short")) === "exited (7)", "its end is noted", 3000);
    expect(await host.ok([TSNET, "exec", "torrent", "getent", "hosts", "named"])).toMatch(/ named/);
    await host.sh("ip -n local.named link del eth0");
    const isBack = async () => (await host.run(["ip", "-n", "local.named", "link", "show", "eth0"])).exitCode === 0;
    await eventually(isBack, "its interface is back");
    await remove("named", "short");
  });
});

test("no process of ours is there for a container: the helper and its watcher, and the container's own chain", async () => {
  await using host = await world();
  const project = await Project.create(
    host,
    "few",
    `containers:\n  a: { ${script("exec sleep 4711")} }\n  b: { ${script("exec sleep 4711")} }\n`,
  );
  await project.raise();
  const names = async () => {
    const rows = (await host.ok(["ps", "-o", "stat=,comm=", "-A"]))
      .split("\n")
      .filter(Boolean)
      .map((line) => line.trim().split(/\s+/));
    return rows
      .filter(([stat = "Z"]) => !stat.startsWith("Z"))
      .map(([, name]) => name)
      .toSorted();
  };
  // The first three are the host's init and this look; the other shell is the helper's watcher.
  const init = ["cat", "sh", "ps"];
  const containers = ["sleep", "sleep", "unshare", "unshare"];
  // After an up the helper looks at the rules for a moment, by a program.
  await expect.poll(names, { timeout: 3000 }).toEqual([...init, "sh", "tsnet-helper", ...containers].toSorted());
  await project.down("-t", "0");
});

describe("once it is over", () => {
  test("its log is complete as soon as ps tells its exit code", async () => {
    const lines = Array.from({ length: 5000 }, (_, at) => `${at + 1}\n`).join("");
    await run("last", "seq 5000; exit 4");
    const note = `until test -e ${FOLDER}/last/exit.json; do :; done; cat ${FOLDER}/last/log`;
    expect((await host.sh(note)) === lines).toBe(true);
    await remove("last");
  });

  test("logs -f shows all of it", async () => {
    await run("followed", "sleep 0.5; seq 3");
    expect(await logs("followed", "-f")).toBe("1\n2\n3\n");
    await remove("followed");
  });

  test("logs -f, begun while it writes, shows each line once", async () => {
    await run("counts", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo $i; done");
    const lines = Array.from({ length: 30_000 }, (_, at) => `${at + 1}\n`).join("");
    expect((await logs("counts", "-f")) === lines).toBe(true);
    await remove("counts");
  });

  test("what it left running in the host's pid namespace is still heard", async () => {
    const line = "setsid sh -c 'sleep 1; echo late' & echo early";
    const project = await Project.create(host, "left", `containers:\n  leaver: { pid: host, ${script(line)} }\n`);
    await project.raise();
    await eventually(async () => (await logs("leaver")) === "early\nlate\n", "both are there");
    await project.down("-t", "0");
  });

  test("stop returns when its last words are in the log", async () => {
    await run("polite", "trap 'seq 2000; exit' TERM; echo ready; while :; do sleep 0.05; done");
    await eventually(async () => (await logs("polite")) === "ready\n", "it listens");
    await host.ok([TSNET, "stop", "polite"]);
    expect(await logs("polite", "-n", "1")).toBe("2000\n");
    await remove("polite");
  });
});

/** The pid of the helper; undefined if none answers. */
async function helper(): Promise<number | undefined> {
  const ask = ["curl", "-s", "--unix-socket", "/run/tsnet/helper.sock", "http://local/status"];
  const { exitCode, stdout } = await host.run(ask);
  return exitCode === 0 ? (JSON.parse(stdout) as { pid: number }).pid : undefined;
}
