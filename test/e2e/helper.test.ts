/** The host's one helper: kept alive, told of ends, and putting back what somebody took away. */
import { linkSync, mkdtempSync, rmSync, unlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Asker } from "./gaps.ts";
import { type Host, PROJECT, TSNET } from "./host.ts";
import { serve } from "./packets.ts";
import { eventually, Project } from "./standalone.ts";
import { HOST, world } from "./world.ts";

const SOCKET = "/run/tsnet/helper.sock";
/** Milliseconds: the promise is a second, and looking takes some time, too. */
const PROMISE = 2000;

const WEB = `
networks:
  front: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64" }
containers:
  web:
    networks: { front: { address: [10.88.1.20, "fd88:1::20"] } }
    ports: ["8080:80", "8080:80/udp"]
    command: [sleep, infinity]
  shell:
    networks: { front: { address: [10.88.1.21, "fd88:1::21"] } }
    command: [sleep, infinity]
`;

describe("the helper's life", () => {
  test("begins with the first container, is one process for all, and ends with the last", async () => {
    await using host = await world();
    const before = await host.snapshot();
    const one = await Project.create(host, "one", containers({ a: "sleep infinity", b: "sleep infinity" }));
    const two = await Project.create(host, "two", containers({ c: "sleep infinity" }));
    await one.raise();
    await two.raise();
    expect(await pidsOf(host, "tsnet-helper")).toHaveLength(1);
    expect(await status(host)).toMatchObject({ containers: 3, errors: [] });
    await one.down();
    expect(await status(host)).toMatchObject({ containers: 1 });
    await two.down();
    expect(await pidsOf(host, "tsnet-helper")).toEqual([]);
    expect(await host.snapshot()).toBe(before);
    await eventually(async () => (await host.sh("pgrep -P 1 -x sh || true")) === "", "its watcher ends, too");
  });

  test("goes on after kill -9, of itself, of its watcher, and of one after the other", async () => {
    await using host = await world();
    const project = await Project.create(host, "kept", containers({ a: "sleep infinity" }));
    await project.raise();
    const [first] = await pidsOf(host, "tsnet-helper");
    await host.sh(`kill -9 ${first}`);
    await eventually(async () => (await status(host))?.pid !== undefined, "another is there", 1000);
    const [second] = await pidsOf(host, "tsnet-helper");
    expect(second).not.toBe(first);
    const watcher = await host.sh(`cut -d' ' -f4 /proc/${second}/stat`);
    await host.sh(`kill -9 ${watcher}`);
    await eventually(
      async () => (await host.sh("cat /run/tsnet/helper.log")).includes("another one begins"),
      "a watcher",
    );
    expect(await pidsOf(host, "tsnet-helper")).toEqual([second]);
    await host.sh(`kill -9 ${second}`);
    await eventually(async () => (await status(host))?.pid !== undefined, "a third is there", 1000);
    expect((await project.ps())[0]?.status).toBe("running");
    await project.down();
    expect(await pidsOf(host, "tsnet-helper")).toEqual([]);
  });

  test("is begun anew by the next command where both were killed", async () => {
    await using host = await world();
    const project = await Project.create(host, "both", containers({ a: "sleep infinity" }));
    await project.raise();
    await killBoth(host);
    expect(await pidsOf(host, "tsnet-helper")).toEqual([]);
    await project.raise();
    expect(await status(host)).toMatchObject({ containers: 1 });
    await killBoth(host);
    await project.down();
    expect(await host.sh("ls /run/tsnet")).not.toContain("helper");
  });
});

test("puts back what is missing after tsnet was replaced by another version, too", async () => {
  await using host = await world();
  // Beside the executable, of which it is a link: a copy takes its time and memory.
  const folder = mkdtempSync(`${PROJECT}/dist/.replaced-`);
  try {
    linkSync(TSNET, `${folder}/tsnet`);
    await host.ok([`${folder}/tsnet`, "run", "-d", "--name", "web", "sleep", "infinity"]);
    unlinkSync(`${folder}/tsnet`);
    linkSync(TSNET, `${folder}/tsnet`);
    await host.sh("ip -n local.web link del eth0");
    const isBack = async () => (await host.run(["ip", "-n", "local.web", "link", "show", "eth0"])).exitCode === 0;
    await eventually(isBack, "its interface is back");
    await host.ok([`${folder}/tsnet`, "rm", "-f", "-t", "0", "web"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe("containers row 19: how a command ended", () => {
  let host: Host;
  let project: Project;

  beforeAll(async () => {
    host = await world();
    project = await Project.create(
      host,
      "ends",
      containers({ fine: "true", seven: "exit 7", later: "sleep 0.5; exit 3", killed: "sleep infinity" }),
    );
    await project.raise();
  });
  afterAll(() => host.destroy());

  const statusOf = async (name: string) => (await project.ps()).find((one) => one.name === name)?.status;

  test.each([
    ["fine", "exited (0)"],
    ["seven", "exited (7)"],
    ["later", "exited (3)"],
  ])("%s is shown as %s, though it may end before anybody looked", async (name, shown) => {
    await expect.poll(() => statusOf(name), { timeout: 3000 }).toBe(shown);
  });

  test("by a signal is 128 and its number", async () => {
    await host.sh("kill -9 $(pgrep -x sleep)");
    await expect.poll(() => statusOf("killed"), { timeout: 3000 }).toBe("exited (137)");
  });

  test("once it runs again is told by its new end alone", async () => {
    await project.write(containers({ later: "sleep infinity" }));
    await project.raise();
    expect(await statusOf("later")).toBe("running");
    await host.sh("kill -15 $(pgrep -x sleep)");
    await expect.poll(() => statusOf("later"), { timeout: 3000 }).toBe("exited (143)");
  });

  test("is a question mark where nobody was there to see it", async () => {
    await project.write(containers({ unseen: "sleep infinity" }));
    await project.raise();
    await killBoth(host);
    await host.sh("kill -9 $(pgrep -x sleep)");
    await expect.poll(() => statusOf("unseen"), { timeout: 3000 }).toBe("exited (?)");
  });
});

/** What a container has on a host beside its process. */
const REMAINS = `
  ip -o link show type veth | grep -v up0 || true; ls /run/netns /run/tsnet/containers 2>/dev/null || true
  iptables-save | grep 10.90.0.2 || true; find /run/tsnet/ipam -name '10.90*' 2>/dev/null || true
`;

test("containers that were to go with their command are gone, with their addresses and rules", async () => {
  await using host = await world();
  await host.ok([TSNET, "network", "create", "lan", "--subnet", "10.90.0.0/24"]);
  const before = await host.sh(REMAINS);
  await host.ok([TSNET, "run", "-d", "--rm", "--name", "job", "--network", "lan", "-p", "8080:80", "sleep", "1"]);
  expect(JSON.parse(await host.ok([TSNET, "ps", "-a", "-o", "json"]))).toMatchObject([{ name: "job" }]);
  await expect.poll(() => host.ok([TSNET, "ps", "-a", "-o", "json"]).then(JSON.parse), { timeout: 5000 }).toEqual([]);
  expect(await host.sh(REMAINS)).toBe(before);
  await host.ok([TSNET, "network", "rm", "lan"]);
  expect(await pidsOf(host, "tsnet-helper")).toEqual([]);
});

describe.each([
  ["iptables-nft", "", ""],
  [
    "iptables-legacy",
    "",
    "ln -sf /usr/sbin/iptables-legacy /etc/alternatives/iptables; iptables-legacy -A INPUT -j ACCEPT",
  ],
  ["nftables", ", options: { backend: nftables }", ""],
])("containers row 7: by %s, what somebody takes away", { retry: 3 }, (_, options, prepare) => {
  let host: Host;
  let rules: string;
  let askers: readonly Asker[];

  beforeAll(async () => {
    host = await world();
    if (prepare !== "") await host.sh(prepare);
    const project = await Project.create(host, "web", WEB.replace('/64" }', `/64"${options} }`));
    await project.raise();
    await serve(host, "web.web", 80, "web");
    await settled(host);
    rules = await rulesOf(host);
    askers = [
      await Asker.start(host, "beyond", HOST[4], 8080),
      await Asker.start(host, "beyond", HOST[6], 8080),
      await Asker.start(host, "web.shell", "fd88:1::20", 80),
      await Asker.start(host, "web.shell", "10.88.1.20", 80),
    ];
  });
  afterAll(() => host.destroy());

  const gaps = () => Promise.all(askers.map((asker) => asker.longestGap()));

  test.each([
    ["all of nftables", "nft flush ruleset"],
    ["the rules of iptables", "for t in filter nat mangle raw; do iptables -t $t -F; ip6tables -t $t -F; done"],
    ["the guard of forwarding", "nft delete table inet tsnet-guard"],
    ["the bridge's addresses", "ip addr flush dev web-front"],
    ["the bridge's being up", "ip link set web-front down"],
    ["the bridge", "ip link del web-front"],
    ["a container's interface", "ip -n web.web link del eth0"],
    ["the host's end of it", "ip link del $(bridge link | sed -nE 's/^[0-9]+: (veth[^@]+)@.*/\\1/p' | head -1)"],
    [
      "its being on the bridge",
      "ip link set $(bridge link | sed -nE 's/^[0-9]+: (veth[^@]+)@.*/\\1/p' | head -1) nomaster",
    ],
    ["a container's address", "ip -n web.web addr del 10.88.1.20/24 dev eth0"],
  ])("%s is put back, within a second for who asks", async (_, take) => {
    await gaps();
    await host.sh(take);
    // The look starts seven programs, so that it takes longer than what it looks for.
    await eventually(async () => (await rulesOf(host)) === rules, "as before", 5 * PROMISE);
    // A busy machine may take longer: then it is taken away once more.
    for (const gap of await gaps()) expect(gap).toBeLessThan(1000);
    await settled(host);
  });

  test("is not looked for by writing: others' rules change nothing of ours", async () => {
    const { repairs } = (await status(host)) ?? {};
    await host.sh("nft add table inet somebody; nft add chain inet somebody x; nft delete table inet somebody");
    await host.sh("iptables -N SOMEBODY; iptables -X SOMEBODY");
    await Bun.sleep(500);
    expect((await status(host))?.repairs).toBe(repairs);
    expect(await rulesOf(host)).toBe(rules);
  });
});

describe("containers row 21: what network connect took in", () => {
  test.each([
    ["the end of its process", "--pid $(cat /run/guest.pid)", "kill -9 $(cat /run/guest.pid)"],
    ["ip netns del", "--netns guest", "ip netns del guest"],
    ["its name being another namespace's", "--netns guest", "ip netns del guest; ip netns add guest"],
  ])("is off its networks after %s", async (_, target, end) => {
    await using host = await world();
    await host.ok([TSNET, "network", "create", "lan", "--subnet", "10.90.0.0/24"]);
    await host.addNetns("guest");
    await host.sh("setsid unshare --net sleep infinity >/dev/null 2>&1 & echo $! >/run/guest.pid; sleep 0.1");
    await host.sh(`${TSNET} network connect lan ${target} --ip 10.90.0.9`);
    await host.sh(end);
    const isOff = async () => (await host.run(["ls", "/run/tsnet/containers"])).stdout === "";
    await eventually(isOff, "it is forgotten", PROMISE);
    expect(await host.sh("ip -o link show type veth | grep -v up0 || true")).toBe("");
    expect(await host.sh("(iptables-save; ip6tables-save) | grep 10.90.0.9 || true")).toBe("");
    expect(await host.sh("find /run/tsnet/ipam -name '10.90.0.9*'")).toBe("");
  });
});

interface Status {
  readonly pid: number;
  readonly containers: number;
  readonly networks: number;
  readonly errors: readonly string[];
  readonly repairs: number;
}

/** What the helper says of itself; undefined if it does not answer. */
async function status(host: Host): Promise<Status | undefined> {
  const { exitCode, stdout } = await host.run(["curl", "-s", "--unix-socket", SOCKET, "http://local/status"]);
  return exitCode === 0 ? (JSON.parse(stdout) as Status) : undefined;
}

/** Waits until the helper has looked after the last change. */
async function settled(host: Host): Promise<void> {
  let last = -1;
  await eventually(async () => {
    const { repairs } = (await status(host)) ?? { repairs: -1 };
    await Bun.sleep(150);
    const same = repairs === last;
    last = repairs;
    return same;
  }, "the helper has nothing to do");
}

/** Processes of a name, without those that are dead and not waited for. */
async function pidsOf(host: Host, name: string): Promise<readonly string[]> {
  return (await host.sh(`pgrep --runstates R,S,D,T -x '${name}' || true`)).split("\n").filter(Boolean);
}

async function killBoth(host: Host): Promise<void> {
  await host.sh("p=$(pgrep -x tsnet-helper); kill -9 $(cut -d' ' -f4 /proc/$p/stat) $p");
  await eventually(async () => (await pidsOf(host, "tsnet-helper")).length === 0, "they are dead");
}

/** Rules of every back end, in an order of their own. */
async function rulesOf(host: Host): Promise<string> {
  const all = await host.sh(`
    for save in iptables-nft-save ip6tables-nft-save iptables-legacy-save ip6tables-legacy-save; do
      $save 2>/dev/null | grep -E '^-A.*(TSNET|tsnet)' | sed "s/^/$save /" || true
    done
    for table in tsnet tsnet-guard tsnet-isolation; do nft -s list table inet $table 2>/dev/null || true; done
  `);
  const words = all.split(/[\n,]|elements =/).map((line) => line.replace(/[{}]/g, "").trim());
  return words.filter(Boolean).toSorted().join("\n");
}

/** A project of containers without a network, each running a line of sh. */
function containers(commands: Readonly<Record<string, string>>): string {
  const entries = Object.entries(commands).map(
    ([name, line]) => `  ${name}: { command: [sh, -c, ${JSON.stringify(line)}] }`,
  );
  return `containers:\n${entries.join("\n")}\n`;
}
