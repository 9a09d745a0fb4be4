/** Networks by command: made, listed, kept over a boot, removed; and containers that join and leave them. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Host, PROJECT, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { eventually, inside, Project, tryInside } from "./standalone.ts";
import { BEYOND, HOST, world } from "./world.ts";

/** `tsnet network ...`, which has to end well. */
const network = (host: Host, ...args: readonly string[]) => host.ok([TSNET, "network", ...args]);
/** `tsnet network ...`, which may fail. */
const tryNetwork = (host: Host, ...args: readonly string[]) => host.run([TSNET, "network", ...args]);
const inspect = async (host: Host, name: string) =>
  JSON.parse(await network(host, "inspect", name, "-o", "json"))[0] as Record<string, unknown>;

describe("a network by command", () => {
  test("is made as the flags say, shown, and removed with all that it brought", async () => {
    await using host = await world();
    const before = await host.snapshot();
    expect(
      await network(
        host,
        ...["create", "--subnet", "10.88.1.0/24", "--ip-range", "10.88.1.128/25", "--gateway", "10.88.1.254"],
        ...["--subnet", "fd88:1::/64", "--mtu", "1400", "--bridge", "br-front", "--label", "tier=web", "--label", "x"],
        ...["--route", "10.20.0.0/16,10.88.1.5", "front"],
      ),
    ).toBe("front\n");
    expect(await network(host, "create", "back", "--internal", "-o", "com.docker.network.bridge.name=br-back")).toBe(
      "back\n",
    );
    expect(await inspect(host, "front")).toEqual({
      id: "local.front",
      driver: "bridge",
      bridge: "br-front",
      subnets: ["10.88.1.0/24", "fd88:1::/64"],
      gateways: ["10.88.1.254", "fd88:1::1"],
      masquerade: true,
      internal: false,
      mtu: 1400,
      range: "10.88.1.128/25",
      routes: ["10.20.0.0/16 via 10.88.1.5"],
      labels: { tier: "web", x: "" },
      options: {},
      stays: true,
      containers: {},
    });
    const table = await network(host, "ls");
    expect(table).toMatch(
      /^NAME +DRIVER +SUBNETS +BRIDGE +CONTAINERS +NOTES\nback +bridge +172\.17\.0\.0\/16 +br-back +0 +internal\nfront /,
    );
    expect(await network(host, "ls", "-q", "--filter", "label=tier=web")).toBe("front\n");
    expect(await network(host, "ls", "-q", "--filter", "name=ack")).toBe("back\n");
    expect(await network(host, "rm", "front", "back")).toBe("front\nback\n");
    expect(await host.snapshot()).toBe(before);
  });

  test("gives addresses of its range, the routes and the MTU to a container of a file that finds it", async () => {
    await using host = await world();
    const before = await host.snapshot();
    await network(
      host,
      "create",
      "--subnet",
      "10.88.1.0/24",
      "--ip-range",
      "10.88.1.128/25",
      "--mtu",
      "1400",
      "--route",
      "10.20.0.0/16,10.88.1.5",
      "front",
    );
    const project = await Project.create(
      host,
      "app",
      `networks: { front: { external: true } }
containers:
  web: { networks: [front], command: [sleep, infinity] }
  low: { networks: { front: { address: 10.88.1.9 } }, command: [sleep, infinity] }
`,
    );
    await project.raise();
    const addresses = (await project.ps()).flatMap(({ interfaces }) => interfaces.flatMap((one) => one.addresses));
    expect(addresses).toEqual(["10.88.1.9/24", "10.88.1.128/24"]);
    expect(await inside(host, "web", "ip", "route")).toContain("10.20.0.0/16 via 10.88.1.5 dev eth0");
    expect(await inside(host, "web", "ip", "-o", "link", "show", "eth0")).toContain("mtu 1400 ");
    expect((await inspect(host, "front")).containers).toEqual({ low: ["10.88.1.9/24"], web: ["10.88.1.128/24"] });
    expect(await tryNetwork(host, "rm", "front")).toMatchObject({
      exitCode: 1,
      stderr: "tsnet: network front cannot be removed: container low is on it: tsnet network disconnect front low\n",
    });
    await project.down();
    expect(await network(host, "ls", "-q")).toBe("front\n");
    await network(host, "rm", "front");
    expect(await host.snapshot()).toBe(before);
  });

  test("is of nftables alone where its option says so", async () => {
    await using host = await world();
    await host.addNetns("vm");
    const before = await host.snapshot();
    await network(host, "create", "-o", "backend=nftables", "front");
    await network(host, "connect", "--netns", "vm", "front");
    expect((await host.inNetns("vm", ["busybox", "ping", "-c1", "-W2", BEYOND[4]])).exitCode).toBe(0);
    expect(await host.sh("iptables-save | grep -c -i tsnet || true")).toBe("0\n");
    await network(host, "disconnect", "front", "vm");
    await network(host, "rm", "front");
    expect(await host.snapshot()).toBe(before);
  });

  test("containers row 27: is there again after a boot, with its rules, and as it was", async () => {
    await using host = await world();
    const before = await host.snapshot();
    await network(host, "create", "--ipv6", "front");
    const then = await inspect(host, "front");
    const project = await Project.create(
      host,
      "app",
      "networks: { front: { external: true } }\ncontainers: { web: { networks: [front], command: [sleep, infinity] } }\n",
    );
    // What a boot takes away: all that runs, every rule and link of ours, and /run.
    await boot(host);
    expect(await inspect(host, "front")).toEqual(then);
    await project.raise();
    expect((await tryInside(host, "web", "busybox", "ping", "-c1", "-W2", BEYOND[4])).exitCode).toBe(0);
    await project.down();
    await boot(host);
    expect(await network(host, "reload")).toBe("the rules of running containers are in place\n");
    expect(await host.sh("ls /run/tsnet/networks")).toBe("local.front.json\n");
    await network(host, "rm", "front");
    expect(await host.snapshot()).toBe(before);
  });

  test("is pruned when nobody is on it, and only if somebody says so", async () => {
    await using host = await world();
    for (const name of ["used", "one", "two"]) await network(host, "create", name, "--label", `n=${name}`);
    const project = await Project.create(
      host,
      "app",
      "networks: { used: { external: true } }\ncontainers: { web: { networks: [used, default], command: [sleep, infinity] } }\n",
    );
    await project.raise();
    expect(await tryNetwork(host, "prune")).toMatchObject({
      exitCode: 2,
      stderr: "tsnet: nothing is removed: say yes to one, two by -f\n",
    });
    expect(await network(host, "prune", "-f", "--filter", "label=n=two")).toBe("two\n");
    expect(await network(host, "prune", "--force")).toBe("one\n");
    expect(await network(host, "ls", "-q")).toBe("app.default\nused\n");
    await project.down();
  });
});

describe.each(["iptables", "nftables"])("a container that runs, by %s,", (backend) => {
  let host: Host;
  let project: Project;

  beforeAll(async () => {
    host = await world();
    const by = ["-o", `backend=${backend}`];
    await network(host, "create", "--subnet", "10.88.2.0/24", "--subnet", "fd88:2::/64", ...by, "back");
    project = await Project.create(
      host,
      "app",
      `networks: { front: { subnet: 10.88.1.0/24, options: { backend: ${backend} } } }
containers:
  web: { networks: [front], ports: ["8080:80"], command: [sleep, infinity] }
  alone: { network: none, command: [sleep, infinity] }
  hosted: { network: host, command: [sleep, infinity] }
  guest: { network: "container:web", command: [sleep, infinity] }
`,
    );
    await project.raise();
    await serve(host, "app.web", 80, "web");
    await host.addNetns("vm");
  });
  afterAll(() => host.destroy());

  test("joins a network with the address and the names that it is given, and leaves it", async () => {
    const joined = await network(
      host,
      "connect",
      "--ip",
      "10.88.2.9",
      "--ip6",
      "fd88:2::9",
      "--alias",
      "db",
      "back",
      "web",
    );
    expect(joined).toBe("web is on back as eth1: 10.88.2.9/24, fd88:2::9/64\n");
    const [web] = (await project.ps()).filter(({ name }) => name === "web");
    expect(web?.interfaces.map((one) => one.network)).toEqual(["app.front", "local.back"]);
    expect(await inside(host, "web", "ip", "-o", "-4", "addr", "show", "eth1")).toContain("10.88.2.9/24");
    expect(await inside(host, "web", "busybox", "cat", "/etc/hosts")).toContain("10.88.2.9");
    expect(await network(host, "disconnect", "back", "web")).toBe("web is off back\n");
    expect(await inside(host, "web", "busybox", "cat", "/etc/hosts")).not.toContain("10.88.2.9");
    expect((await tryInside(host, "web", "ip", "link", "show", "eth1")).exitCode).not.toBe(0);
  });

  test("reaches its default route and its published port by another network when it leaves the first", async () => {
    await network(host, "connect", "--ip", "10.88.2.9", "back", "web");
    await network(host, "disconnect", "app.front", "web");
    expect(await inside(host, "web", "ip", "route", "show", "default")).toContain("default via 10.88.2.1 dev eth1");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    await network(host, "connect", "front", "web");
    await network(host, "disconnect", "back", "web");
    expect(await inside(host, "web", "ip", "route", "show", "default")).toContain("default via 10.88.1.1 dev eth0");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
  });

  test("is put back on the networks of its file by up, and runs on", async () => {
    const pid = async () => (await project.ps()).find(({ name }) => name === "web")?.pid;
    const before = await pid();
    await network(host, "connect", "back", "web");
    await network(host, "disconnect", "front", "web");
    await project.raise();
    const web = (await project.ps()).find(({ name }) => name === "web");
    expect(web?.interfaces.map((one) => one.network)).toEqual(["app.front"]);
    expect(web?.pid).toBe(before);
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
  });

  // What is refused is the same by both.
  if (backend === "nftables") return;

  test.each([
    [["connect", "nowhere", "web"], "no network nowhere: there are app.front, back"],
    [
      ["connect", "host", "web"],
      "host is a way to do without a network, not one: tsnet run --network host, or network: host in a file",
    ],
    [["connect", "front", "web"], "container web is on network app.front already"],
    [["connect", "back", "wbe"], "no container wbe (did you mean web?): there are alone, guest, hosted, web"],
    [["connect", "back", "alone"], "container alone has network: none, which joins no network: start it anew on one"],
    [["connect", "back", "hosted"], "container hosted has network: host, which joins no network: start it anew on one"],
    [["connect", "back", "guest"], "container guest is in the network namespace of web: connect that one"],
    [
      ["connect", "--ip", "10.88.3.9", "back", "web"],
      "address 10.88.3.9 is not one that it has (10.88.2.0/24, fd88:2::/64): choose another of network back",
    ],
    [
      ["connect", "--ip", "10.88.2.1", "back", "web"],
      "address 10.88.2.1 is its gateway: choose another of network back",
    ],
    [["connect", "--netns", "app.web", "back"], "that is container web: tsnet network connect NETWORK web"],
    [["connect", "--netns", "gone", "back"], "no network namespace at /run/netns/gone"],
    [["connect", "--pid", "1", "back"], "process 1 is on the host's own network: there is nothing to connect"],
    [["connect", "--pid", "4000000", "back"], "no process 4000000 runs on this host"],
    [["connect", "--netns", "vm", "back", "web"], "container web is there already: give this one another name"],
    [["disconnect", "back", "web"], "container web is not on network back: it is on app.front"],
    [["disconnect", "--netns", "vm", "back"], "vm is connected to no network: nothing foreign is"],
    [["rm", "front"], "network app.front cannot be removed: it is of project app: tsnet down --project app"],
    [["create", "back"], "network back is there already: tsnet network rm back removes it"],
    [
      ["create", "--subnet", "10.88.1.0/25", "x"],
      "network x: the host has subnet 10.88.1.0/25 already: network app.front (10.88.1.0/24); choose another, or none to have one chosen",
    ],
  ])("cannot %j, which changes nothing", async (args, message) => {
    const before = await lines(host);
    expect(await tryNetwork(host, ...args)).toEqual({ exitCode: 1, stdout: "", stderr: `tsnet: ${message}\n` });
    expect(await lines(host)).toEqual(before);
  });

  test("cannot be given ports by connect, which says where they are named", async () => {
    expect(await tryNetwork(host, "connect", "-p", "80:80", "back", "web")).toEqual({
      exitCode: 2,
      stdout: "",
      stderr:
        "tsnet: --publish is not for tsnet network connect: a container publishes what tsnet run -p or ports: in its file say, whichever networks it is on\n",
    });
  });
});

describe("something that tsnet did not start", () => {
  test("is connected by its namespace, reached by address both ways, and let go as it was", async () => {
    await using host = await world();
    await host.addNetns("vm");
    const before = await host.snapshot();
    await network(host, "create", "--subnet", "10.88.1.0/24", "front");
    await network(host, "create", "--subnet", "10.88.2.0/24", "back");
    expect(await network(host, "connect", "--netns", "vm", "--ip", "10.88.1.9", "front")).toBe(
      "vm is on front as eth0: 10.88.1.9/24\nnames are answered at 127.0.0.11 in it; its resolv.conf is left alone\n",
    );
    expect(await network(host, "connect", "back", "vm")).toContain("vm is on back as eth1: 10.88.2.2/24\n");
    expect(await host.ok([TSNET, "ps", "-a"])).toMatch(
      /^local +vm +connected +local\.front, local\.back +10\.88\.1\.9, 10\.88\.2\.2 /m,
    );
    await host.ok([TSNET, "run", "-d", "--name", "web", "--network", "front", "sleep", "1000"]);
    const lookUp = (name: string, ...server: readonly string[]) => ["busybox", "nslookup", name, ...server];
    expect(await inside(host, "web", ...lookUp("vm"))).toMatch(/Address.*10\.88\.1\.9$/m);
    expect((await host.inNetns("vm", lookUp("web.front", "127.0.0.11"))).stdout).toMatch(/Address.*10\.88\.1\.10$/m);
    await serve(host, "vm", 80, "vm");
    expect(await ask(host, "", "tcp", "10.88.1.9", 80)).toMatch(/^vm 10\.88\.1\.1$/);
    expect((await host.inNetns("vm", ["busybox", "ping", "-c1", "-W2", BEYOND[4]])).exitCode).toBe(0);
    // Its first network had the default route.
    await network(host, "disconnect", "--netns", "vm", "front");
    expect((await tryInside(host, "web", ...lookUp("vm"))).exitCode).not.toBe(0);
    expect((await host.inNetns("vm", ["busybox", "ping", "-c1", "-W2", BEYOND[4]])).exitCode).toBe(0);
    expect((await host.run([TSNET, "stop", "vm"])).stderr).toBe(
      "tsnet: vm was connected and not started by tsnet: tsnet network disconnect local.back vm lets it go\n",
    );
    expect(await host.run([TSNET, "exec", "vm", "true"])).toMatchObject({
      exitCode: 125,
      stderr: "tsnet: vm was not started by tsnet: use nsenter, or exec of what started it\n",
    });
    await network(host, "disconnect", "back", "vm");
    expect((await host.inNetns("vm", ["nft", "list", "ruleset"])).stdout).toBe("");
    await host.ok([TSNET, "rm", "-f", "web"]);
    await host.sh("for pid in $(ip netns pids vm); do kill $pid; done");
    await network(host, "rm", "front", "back");
    expect(await host.snapshot()).toBe(before);
  });

  test("is connected by a process, beside an interface and a default route that it has", async () => {
    await using host = await world();
    const before = await host.snapshot();
    await network(host, "create", "--subnet", "10.88.1.0/24", "front");
    host.spawn([
      "unshare",
      "--net",
      "sh",
      "-c",
      "ip link set lo up; ip link add eth0 type veth peer name p0; ip addr add 10.9.0.1/24 dev eth0; ip link set p0 up; ip link set eth0 up; ip route add default via 10.9.0.2; exec sleep 4713",
    ]);
    await eventually(async () => (await host.run(["pgrep", "-f", "^sleep 4713"])).exitCode === 0, "it runs");
    const pid = (await host.sh("pgrep -f '^sleep 4713'")).trim();
    expect(await network(host, "connect", "--pid", pid, "front", "db", "-o", "json").then(JSON.parse)).toEqual({
      name: "db",
      interface: "eth1",
      network: "local.front",
      addresses: ["10.88.1.2/24"],
    });
    const routes = await host.ok(["nsenter", "--net", "-t", pid, "ip", "route"]);
    expect(routes).toContain("default via 10.9.0.2 dev eth0");
    expect(routes).not.toContain("default via 10.88.1.1");
    expect((await host.run(["busybox", "ping", "-c1", "-W2", "10.88.1.2"])).exitCode).toBe(0);
    expect((await tryNetwork(host, "rm", "front")).stderr).toContain("tsnet network disconnect front db");
    await network(host, "disconnect", "--pid", pid, "front");
    expect((await host.run(["kill", "-0", pid])).exitCode).toBe(0);
    expect(await host.ok(["nsenter", "--net", "-t", pid, "ip", "-o", "link"])).not.toContain("eth1");
    await host.ok(["kill", "-9", pid]);
    await network(host, "rm", "front");
    expect(await host.snapshot()).toBe(before);
  });

  test("containers row 21: is forgotten when it is gone, and another by its name is not touched", async () => {
    await using host = await world();
    await host.addNetns("vm");
    const before = await host.snapshot();
    await network(host, "create", "--subnet", "10.88.1.0/24", "front");
    await network(host, "connect", "--netns", "vm", "front");
    await host.sh("ip netns del vm");
    await host.addNetns("vm");
    await host.sh("ip -n vm link add eth0 type veth peer name eth9");
    await eventually(async () => (await host.ok([TSNET, "ps", "-a", "-o", "json"])) === "[]\n", "it is let go", 3000);
    expect(await host.ok(["ip", "-n", "vm", "-o", "link", "show", "eth0"])).toContain("eth0");
    expect(await host.sh("ip -o link show type veth | grep -c local-front || true")).toBe("0\n");
    expect(await host.sh("ls /run/tsnet/ipam/local.front | grep -c '^10' || true")).toBe("0\n");
    await host.sh("ip -n vm link del eth0");
    await network(host, "rm", "front");
    expect(await host.snapshot()).toBe(before);
  });

  test("containers row 21: lets go of the interface when its process ended, though its namespace lives on", async () => {
    await using host = await world();
    await network(host, "create", "--subnet", "10.88.1.0/24", "front");
    await host.addNetns("pod");
    const child = host.spawn(["ip", "netns", "exec", "pod", "sleep", "4714"]);
    await eventually(async () => (await host.run(["pgrep", "-f", "^sleep 4714"])).exitCode === 0, "it runs");
    const pid = (await host.sh("pgrep -f '^sleep 4714'")).trim();
    await network(host, "connect", "--pid", pid, "front", "db");
    await host.ok(["kill", pid]);
    await child.exited;
    await eventually(async () => (await host.ok([TSNET, "ps", "-a", "-o", "json"])) === "[]\n", "it is let go", 3000);
    expect(await host.ok(["ip", "-n", "pod", "-o", "link"])).not.toContain("eth0");
    await network(host, "rm", "front");
  });
});

describe("a command that was killed", () => {
  test("is finished when it is given again, wherever it was cut off", async () => {
    await using host = await world();
    await host.addNetns("vm");
    const before = await host.snapshot();
    const killed = async (ms: number, ...args: readonly string[]) =>
      host.run(["timeout", "-s", "KILL", `${ms / 1000}`, TSNET, "network", ...args]);
    const create = ["create", "--subnet", "10.88.1.0/24", "--conflist", "front"];
    for (const ms of [30, 60, 90, 120, 160, 210, 270, 350]) {
      await killed(ms, ...create);
      await host.run([TSNET, "network", ...create]);
      expect(await host.sh("ls /etc/cni/net.d")).toBe("99-tsnet-front.conflist\n");
      await killed(ms, "connect", "--netns", "vm", "front");
      await host.run([TSNET, "network", "connect", "--netns", "vm", "front"]);
      expect((await host.inNetns("vm", ["busybox", "ping", "-c1", "-W2", BEYOND[4]])).exitCode).toBe(0);
      await killed(ms, "disconnect", "front", "vm");
      await host.run([TSNET, "network", "disconnect", "front", "vm"]);
      expect(await host.ok(["ip", "-n", "vm", "-o", "link"])).not.toContain("eth0");
      await killed(ms, "rm", "front");
      await host.run([TSNET, "network", "rm", "front"]);
      expect(await host.snapshot()).toBe(before);
    }
  }, 120_000);
});

describe("docs/networks.md", () => {
  const page = readFileSync(`${PROJECT}/docs/networks.md`, "utf8");
  const [before = ""] = page.split("## Isolation");

  test("its commands work, one after the other as they stand there", async () => {
    await using host = await world();
    const empty = await host.snapshot();
    const commands = [...before.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, text = ""]) => text);
    expect(commands).toHaveLength(4);
    await host.sh(`mkdir -p /opt/bin; ln -s ${TSNET} /opt/bin/tsnet`);
    // Prune takes what the first block made, which the second needs.
    const [made = "", ...rest] = commands;
    const script = [made, made.split("\n").slice(0, 2).join("\n"), ...rest].join("\n");
    const said = await host.ok(["sh", "-ec", `PATH=/opt/bin:$PATH\ntrap 'kill $!' EXIT\n${script}`]);
    expect(said).toContain("web is on back as eth1: 10.88.1.9/24, fd");
    expect(said).toMatch(/inet 10\.88\.1\.9\/24 .* eth1/);
    expect(said).toMatch(/^local +queue +connected +local\.back +10\.88\.1\.128/m);
    expect(said).toContain('"name": "local.shared"');
    await host.ok([TSNET, "rm", "-f", "web"]);
    await host.ok([TSNET, "network", "prune", "-f"]);
    expect(await host.snapshot()).toBe(empty);
  });
});

/** What the host looks like, in an order of its own: somebody may have put rules back. */
async function lines(host: Host): Promise<readonly string[]> {
  return (await host.snapshot()).split("\n").toSorted();
}

/** Ends what runs of tsnet's and takes away what a boot would. */
async function boot(host: Host): Promise<void> {
  await host.sh(`
    for pid in $(pgrep -x 'tsnet-helper|sleep' || true); do kill -9 $pid 2>/dev/null || true; done
    sleep 0.3
    for pid in $(pgrep -x 'tsnet-helper' || true); do kill -9 $pid 2>/dev/null || true; done
    rm -rf /run/tsnet /run/cni
    nft flush ruleset; iptables-legacy -F; iptables-legacy -t nat -F
    for table in $(nft list tables | sed 's/^table //; s/ /,/'); do nft delete table $(echo $table | tr , ' '); done
    for link in $(ip -o link show type bridge | sed -E 's/^[0-9]+: ([^:@]+).*/\\1/'); do ip link del $link; done
  `);
}
