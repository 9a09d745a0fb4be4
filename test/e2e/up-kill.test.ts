/** `up`, `down` and the helper, killed at any moment; several of them at once; and what a boot leaves behind. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Host, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { eventually, Project, tryInside } from "./standalone.ts";
import { HOST, world } from "./world.ts";

const MOMENTS = 30;

const SHOP = `
networks:
  front: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64" }
  back: { subnet: 10.88.2.0/24, internal: true }
containers:
  web: { networks: { front: { aliases: [www] }, back: }, ports: ["8080:80", "127.0.0.1:8081:81/udp"], command: [sleep, infinity] }
  db: { networks: { back: { aliases: [sql] } }, command: [sleep, infinity] }
  side: { network: container:web, command: [sleep, infinity] }
`;

let host: Host;
let shop: Project;
let before: string;

beforeEach(async () => {
  host = await world();
  before = await host.snapshot();
  shop = await Project.create(host, "shop", SHOP);
});
afterEach(() => host.destroy());

/** Runs a command of the project and kills it after some time; whether it was still at work. */
async function killed(command: "up" | "down", ms: number): Promise<boolean> {
  const seconds = (ms / 1000).toFixed(3);
  const argv = ["timeout", "-s", "KILL", seconds, TSNET, command, "-f", `${shop.folder}/tsnet.yaml`];
  return (await host.run(argv)).exitCode !== 0;
}

/** Everything is as the file says: it runs once, is reached, and its names resolve. */
async function expectUp(when: string): Promise<void> {
  const rows = await shop.ps();
  expect(
    rows.map(({ name, status }) => [name, status]),
    when,
  ).toEqual([
    ["db", "running"],
    ["side", "running"],
    ["web", "running"],
  ]);
  // The helper's watcher sleeps as well, but not for ever.
  const commands = await host.sh("pgrep --runstates R,S,D,T -c -x -f 'sleep infinity' || true");
  expect(Number(commands), when).toBe(3);
  const answers = async (name: string) =>
    (await tryInside(host, "web", "busybox", "ping", "-c1", "-W1", name)).exitCode === 0;
  await eventually(() => answers("db"), `${when}: web reaches db by name`, 3000);
  await eventually(() => answers("sql.back"), `${when}: web reaches db by its alias`, 3000);
  expect((await tryInside(host, "db", "busybox", "ping", "-c1", "-W1", HOST[4])).exitCode, when).not.toBe(0);
}

/** Nothing is left: not of what the snapshot has, and no process. */
async function expectDown(when: string): Promise<void> {
  // What a command that was killed had started ends by itself, a moment after its pipe broke; and so does a watcher.
  await expect.poll(() => host.snapshot(), { timeout: 5000, message: when }).toBe(before);
  await expect.poll(() => running("sleep|unshare|tsnet.*"), { timeout: 5000, message: when }).toBe(0);
}

/** How many processes of these names run; the host's init waits for none, so there are dead ones. */
async function running(names: string): Promise<number> {
  return Number(await host.sh(`pgrep --runstates R,S,D,T -c -x '${names}' || true`));
}

/** How long a command takes here and now, in milliseconds. */
async function durationOf(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

describe("killed at random moments", () => {
  test(`up, ${MOMENTS} times: up finishes it, down undoes it`, async () => {
    const whole = await durationOf(() => shop.raise());
    await shop.down();
    for (let at = 0; at < MOMENTS; at++) {
      const ms = Math.random() * whole;
      const when = `up was killed after ${ms.toFixed()} ms, number ${at}`;
      await killed("up", ms);
      if (at % 2 === 0) {
        await shop.raise();
        await expectUp(when);
      }
      await shop.down();
      await expectDown(when);
    }
  }, 300_000);

  test(`down, ${MOMENTS} times: down finishes it, up brings all back`, async () => {
    await shop.raise();
    const whole = await durationOf(() => shop.down());
    for (let at = 0; at < MOMENTS; at++) {
      const ms = Math.random() * whole;
      const when = `down was killed after ${ms.toFixed()} ms, number ${at}`;
      await shop.raise();
      await killed("down", ms);
      if (at % 2 === 0) {
        await shop.raise();
        await expectUp(when);
      }
      await shop.down();
      await expectDown(when);
    }
  }, 300_000);

  test(`the helper, ${MOMENTS} times while up and down are at work: both do what they say`, async () => {
    const whole = await durationOf(() => shop.raise());
    for (let at = 0; at < MOMENTS; at++) {
      const ms = Math.random() * whole;
      const when = `the helper was killed ${ms.toFixed()} ms after the start of ${at % 2 === 0 ? "down" : "up"}, number ${at}`;
      const work = at % 2 === 0 ? shop.down() : shop.raise();
      await Bun.sleep(ms);
      await host.run(["pkill", "-9", "-x", "tsnet-helper"]);
      await work;
      if (at % 2 === 0) await expectDown(when);
      else await expectUp(when);
    }
    await shop.down();
    await expectDown("in the end");
  }, 300_000);
});

describe("at once", () => {
  test("two up: one waits for the other, and there is one of everything", async () => {
    const [one, other] = await Promise.all([shop.up(), shop.up()]);
    expect([one.exitCode, other.exitCode], one.stderr + other.stderr).toEqual([0, 0]);
    await expectUp("two at once");
    await shop.down();
    await expectDown("two at once");
  });

  test("up of six projects that choose their subnets: each has its own", async () => {
    const names = ["a", "b", "c", "d", "e", "f"];
    const yaml = (name: string) => `containers:\n  in-${name}: { command: [sleep, infinity] }\n`;
    const projects = await Promise.all(names.map((name) => Project.create(host, name, yaml(name))));
    const done = await Promise.all(projects.map((project) => project.up()));
    expect(done.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(names.map(() => [0, ""]));
    const rows = (await Promise.all(projects.map((project) => project.ps()))).flat();
    expect(new Set(rows.map(({ interfaces }) => interfaces[0]?.addresses[0])).size).toBe(names.length);
    await Promise.all(projects.map((project) => project.down()));
    await expectDown("six at once");
  });

  test("up and down: whichever came last is what is true", async () => {
    for (let at = 0; at < 4; at++) {
      const [raised] = await Promise.all([shop.up(), shop.down()]);
      expect(raised.exitCode, raised.stderr).toBe(0);
      const { length } = await shop.ps();
      expect([0, 3]).toContain(length);
      if (length === 3) await expectUp("up came last");
      else await expectDown("down came last");
    }
  });
});

describe("containers row 27: a boot", () => {
  /** As after one with a /run on disk: the files are there, processes, links, namespaces and rules are not. */
  const BOOT = `
    pkill -9 -P 1 -x sh || true
    while pgrep --runstates R,S,D,T -x 'sleep|tsnet-helper' >/dev/null; do pkill -9 -x 'sleep|tsnet-helper' || true; sleep 0.05; done
    sed -i 's/"bootId": "[^"]*"/"bootId": "another"/' /run/tsnet/containers/*/state.json
    for ns in $(ls /run/netns | grep -v beyond); do ip netns del $ns; done
    for link in $(ip -o link show type bridge | cut -d: -f2); do ip link del $link; done
    nft flush ruleset; iptables -F; iptables -t nat -F; conntrack -F 2>/dev/null`;

  test("that kept /run: what it tells of is shown as over, up starts anew, and down leaves nothing", async () => {
    await shop.raise();
    await host.sh(BOOT);
    expect((await shop.ps()).map(({ status }) => status)).toEqual(["exited (?)", "exited (?)", "exited (?)"]);
    await shop.raise();
    await expectUp("after a boot");
    await serve(host, "shop.web", 80, "web");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe("web 192.168.50.2");
    await shop.down();
    await expectDown("after a boot");
  });

  test("that kept /run: down alone sweeps it", async () => {
    await shop.raise();
    await host.sh(BOOT);
    await shop.down();
    await expectDown("after a boot");
  });

  test("with a /run of its own: networks made by command are there again with their first container", async () => {
    await host.ok([TSNET, "network", "create", "kept", "--subnet", "10.88.9.0/24"]);
    await host.ok([TSNET, "run", "-d", "--name", "one", "--network", "kept", "sleep", "infinity"]);
    await host.sh(`${BOOT}\nrm -rf /run/tsnet`);
    expect(await host.ok([TSNET, "network", "ls"])).toContain("10.88.9.0/24");
    await host.ok([TSNET, "run", "-d", "--name", "one", "--network", "kept", "sleep", "infinity"]);
    expect((await tryInside(host, "one", "busybox", "ping", "-c1", "-W2", "10.88.9.1")).exitCode).toBe(0);
    await host.ok([TSNET, "rm", "-f", "-t", "0", "one"]);
    await host.ok([TSNET, "network", "rm", "kept"]);
    await expectDown("after a boot");
  });
});
