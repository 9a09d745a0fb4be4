/** `tsnet up` and `tsnet down` from file to packets and back. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Host, PROJECT, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { eventually, inside, Project, tryInside } from "./standalone.ts";
import { BEYOND, HOST, world } from "./world.ts";

const HELLO = `
name: hello
networks:
  front: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64" }
containers:
  web:
    networks: { front: { address: [10.88.1.20, "fd88:1::20"], mac: "02:42:0a:58:01:14" } }
    ports: ["8080:80", "8053:53/udp", "127.0.0.1:8081:80"]
    command: [sleep, infinity]
  shell:
    networks: [front]
    command: [sleep, infinity]
`;

describe("a project that is up", () => {
  let host: Host;
  let hello: Project;
  let before: string;

  beforeAll(async () => {
    host = await world();
    before = await host.snapshot();
    hello = await Project.create(host, "hello", HELLO);
    await hello.raise();
    await serve(host, "hello.web", 80, "web");
    await serve(host, "hello.web", 53, "web");
    await serve(host, "beyond", 7000, "beyond");
  });
  afterAll(() => host.destroy());

  test("shows a table of what runs", async () => {
    const table = await host.ok([TSNET, "ps", "-a"]);
    expect(table.split("\n")[0]).toMatch(/^PROJECT +NAME +STATUS +NETWORK +ADDRESS +PORTS +COMMAND$/);
    expect(table).toMatch(
      /^hello +web +running \d+s +hello\.front +10\.88\.1\.20, fd88:1::20 +8080->80\/tcp, 8053->53\/udp, 127\.0\.0\.1:8081->80\/tcp +sleep infinity$/m,
    );
  });

  test("has the addresses and the MAC that the file says", async () => {
    const [, web] = await hello.ps();
    expect(web?.interfaces).toEqual([
      { name: "eth0", network: "hello.front", addresses: ["10.88.1.20/24", "fd88:1::20/64"], mac: "02:42:0a:58:01:14" },
    ]);
    expect(await inside(host, "web", "cat", "/sys/class/net/eth0/address")).toBe("02:42:0a:58:01:14\n");
  });

  test("its containers reach each other, as themselves", async () => {
    const [shell] = await hello.ps();
    const [four, six] = (shell?.interfaces[0]?.addresses ?? []).map((cidr) => cidr.replace(/\/.*/, ""));
    expect(await ask(host, "hello.shell", "tcp", "10.88.1.20", 80)).toBe(`web ${four}`);
    expect(await ask(host, "hello.shell", "tcp", "fd88:1::20", 80)).toBe(`web ${six}`);
  });

  test("its containers reach the gateway, and what is beyond the host with the host's address", async () => {
    expect((await tryInside(host, "shell", "busybox", "ping", "-c1", "-W2", "10.88.1.1")).exitCode).toBe(0);
    expect(await ask(host, "hello.shell", "tcp", BEYOND[4], 7000)).toBe(`beyond ${HOST[4]}`);
    expect(await ask(host, "hello.shell", "udp", BEYOND[6], 7000)).toBe(`beyond ${HOST[6]}`);
  });

  test("its published ports are reached from beyond, from the host and from its own containers", async () => {
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    expect(await ask(host, "beyond", "udp", HOST[4], 8053)).toBe(`web ${BEYOND[4]}`);
    expect(await ask(host, "beyond", "tcp", HOST[6], 8080)).toBe(`web ${BEYOND[6]}`);
    expect(await ask(host, "", "tcp", "127.0.0.1", 8080)).toMatch(/^web /);
    expect(await ask(host, "", "tcp", "127.0.0.1", 8081)).toMatch(/^web /);
    expect(await ask(host, "beyond", "tcp", HOST[4], 8081)).toBeUndefined();
    expect(await ask(host, "hello.web", "tcp", HOST[4], 8080)).toMatch(/^web /);
    expect(await ask(host, "hello.shell", "tcp", "10.88.1.1", 8080)).toMatch(/^web /);
  });

  test("up again changes nothing", async () => {
    const processes = (await hello.ps()).map(({ pid }) => pid);
    const then = await host.snapshot();
    await hello.raise();
    expect((await hello.ps()).map(({ pid }) => pid)).toEqual(processes);
    expect(await host.snapshot()).toBe(then);
  });

  test("up puts back rules that somebody flushed, under the running containers", async () => {
    const then = await host.snapshot();
    const processes = (await hello.ps()).map(({ pid }) => pid);
    // The helper would be quicker.
    await host.sh("p=$(pgrep -x tsnet-helper); kill -9 $(cut -d' ' -f4 /proc/$p/stat) $p");
    await host.sh("nft flush ruleset; iptables -F; iptables -t nat -F");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBeUndefined();
    await hello.raise();
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    expect((await hello.ps()).map(({ pid }) => pid)).toEqual(processes);
    expect(rulesOf(await host.snapshot())).toBe(rulesOf(then));
  });

  test("containers row 25: everything of it carries its name", async () => {
    expect(await host.ok(["ls", "/run/netns"])).toBe("beyond\nhello.shell\nhello.web\n");
    const aliases = await host.sh("ip -o -d link show type veth | grep -o 'alias .*'");
    expect(aliases).toContain("alias tsnet hello.front hello.web eth0");
    expect(await host.sh("ip -o link show type bridge")).toContain(" hello-front:");
    expect(await host.sh("iptables-save; nft list ruleset")).toContain("hello.front/hello.web/eth0");
    expect(await host.sh("ls /run/tsnet/networks /run/tsnet/ipam")).toContain("hello.front");
  });

  test("goes with down, and the host is as before", async () => {
    const out = await host.run([TSNET, "down", "--project", "hello", "-o", "json"]);
    expect(JSON.parse(out.stdout)).toMatchObject({
      project: "hello",
      containers: ["shell", "web"],
      networks: ["front"],
    });
    expect(await host.snapshot()).toBe(before);
    expect(await host.sh("ls /run/tsnet/containers /run/tsnet/networks 2>/dev/null || true")).toBe("");
    expect(await hello.down()).toBe("nothing of hello is up\n");
  });
});

describe("the four modes of a container", () => {
  let host: Host;

  beforeAll(async () => {
    host = await world();
    const modes = await Project.create(
      host,
      "modes",
      `
containers:
  bridged: { command: [sleep, infinity] }
  hosted: { network: host, command: [sleep, infinity] }
  alone: { network: none, command: [sleep, infinity] }
  guest: { network: container:bridged, command: [sleep, infinity] }
`,
    );
    await modes.raise();
  });
  afterAll(() => host.destroy());

  const links = async (container: string) => (await inside(host, container, "ls", "/sys/class/net")).trim().split("\n");

  test("bridge: an interface of its own on the network default, and a gateway", async () => {
    expect(await links("bridged")).toEqual(["eth0", "lo"]);
    expect(await inside(host, "bridged", "ip", "route")).toMatch(/^default via 172\.17\.0\.1 dev eth0/m);
  });

  test("host: the host's own links", async () => {
    expect(await links("hosted")).toEqual(expect.arrayContaining(["lo", "up0", "modes-default"]));
    expect(await host.sh("readlink /proc/self/ns/net")).toBe(
      await inside(host, "hosted", "readlink", "/proc/self/ns/net"),
    );
  });

  test("host: also where the host's /sys is that of its own network namespace, as it is outside of tests", async () => {
    await using real = await world();
    await real.sh(`mkdir /run/cgroup && mount --rbind /sys/fs/cgroup /run/cgroup
                   mount -t sysfs sysfs /sys && mount --rbind /run/cgroup /sys/fs/cgroup`);
    const hosted = "containers:\n  hosted: { network: host, command: [sleep, infinity] }\n";
    await (await Project.create(real, "hosted", hosted)).raise();
    expect((await inside(real, "hosted", "ls", "/sys/class/net")).split("\n")).toContain("up0");
    expect((await tryInside(real, "hosted", "touch", "/sys/class/net/lo/ifalias")).exitCode).not.toBe(0);
  });

  test("none: lo, up, and nothing else", async () => {
    expect(await links("alone")).toEqual(["lo"]);
    expect((await tryInside(host, "alone", "busybox", "ping", "-c1", "127.0.0.1")).exitCode).toBe(0);
    expect((await tryInside(host, "alone", "busybox", "ping", "-c1", "-W1", HOST[4])).exitCode).not.toBe(0);
  });

  test("container:x: the links of the other, a hostname and processes of its own", async () => {
    const netns = (name: string) => inside(host, name, "readlink", "/proc/self/ns/net");
    expect(await netns("guest")).toBe(await netns("bridged"));
    expect(await inside(host, "guest", "hostname")).toBe("guest\n");
    expect(await inside(host, "guest", "cat", "/etc/hosts")).toContain("172.17.0.2 guest");
    expect(await inside(host, "guest", "cat", "/proc/1/cmdline")).toBe("sleep\0infinity\0");
  });
});

describe("containers row 26: an edited file", () => {
  let host: Host;
  let project: Project;

  beforeAll(async () => {
    host = await Host.create();
    project = await Project.create(host, "edit", file({ one: "sleep 1000", two: "sleep 1000" }));
    await project.raise();
  });
  afterAll(() => host.destroy());

  const pidOf = async (name: string) => (await project.ps()).find((row) => row.name === name)?.pid;

  test("changes what it says and leaves the rest alone", async () => {
    const [one, two] = [await pidOf("one"), await pidOf("two")];
    await project.write(file({ one: "sleep 1000", two: "sleep 2000" }));
    await project.raise();
    expect(await pidOf("one")).toBe(one);
    expect(await pidOf("two")).not.toBe(two);
    expect(await inside(host, "two", "cat", "/proc/1/cmdline")).toBe("sleep\0" + "2000\0");
  });

  test("takes away what left it, networks too", async () => {
    const one = await pidOf("one");
    await project.write(file({ one: "sleep 1000" }));
    await project.raise();
    expect((await project.ps()).map(({ name }) => name)).toEqual(["one"]);
    expect(await pidOf("one")).toBe(one);
    await project.write("containers:\n  one: { network: none, command: [sleep, '1000'] }\n");
    await project.raise();
    expect(await host.sh("ip -o link show type bridge")).toBe("");
    expect(await host.sh("ls /run/netns")).toBe("edit.one\n");
  });

  test("with another subnet moves its containers there", async () => {
    await project.write(file({ one: "sleep 1000" }, "10.99.0.0/24"));
    await project.raise();
    await project.write(file({ one: "sleep 1000" }, "10.98.0.0/24"));
    await project.raise();
    expect((await project.ps())[0]?.interfaces[0]?.addresses).toEqual(["10.98.0.2/24"]);
    expect(await host.sh("ip -4 -o addr show dev edit-net")).toContain("10.98.0.1/24");
  });

  test("and one whose command ended is started again", async () => {
    await project.write(file({ one: "true", two: "sleep 1000" }));
    await project.raise();
    await eventually(async () => (await project.ps())[0]?.status === "exited (0)", "one has exited");
    const two = await pidOf("two");
    await project.raise();
    expect(await pidOf("two")).toBe(two);
    expect((await project.ps()).map(({ name }) => name)).toEqual(["one", "two"]);
  });

  test("that is gone needs none: down --project, and ps -a shows what there is", async () => {
    await host.ok(["rm", "-r", project.folder]);
    expect(await host.ok([TSNET, "ps", "-a"])).toMatch(/^edit +two +running/m);
    expect(await host.ok([TSNET, "down", "--project", "edit"])).toBe("edit: removed 2 containers and 1 network\n");
    expect(await host.ok([TSNET, "ps", "-a", "-o", "json"])).toBe("[]\n");
  });
});

describe("before anything is changed, up says", () => {
  let host: Host;

  beforeAll(async () => {
    host = await world();
    const there = await Project.create(
      host,
      "there",
      "networks: { net: { subnet: 10.70.0.0/24 } }\ncontainers:\n  taken: { networks: [net], ports: ['9000:80'], command: [sleep, infinity] }\n",
    );
    await there.raise();
    await serve(host, "", 9001, "listener");
    await host.ok(["ip", "route", "add", "10.71.0.0/16", "dev", "up0"]);
    await host.ok(["ip", "netns", "add", "new.lost"]);
    await host.ok(["ip", "link", "add", "isveth", "type", "veth", "peer", "name", "isveth1"]);
  });
  afterAll(() => host.destroy());

  test.each([
    [
      "a port that another project has",
      "containers:\n  c: { ports: ['9000:80'], command: [x] }",
      "container c cannot have host port 9000/tcp: container taken of project there has it; choose another",
    ],
    [
      "a port that a program has",
      "containers:\n  c: { ports: ['9001:80'], command: [x] }",
      /^tsnet: container c cannot have host port 9001\/tcp: \S+ \(pid \d+\) listens on (::|0\.0\.0\.0) there; choose another$/,
    ],
    [
      "a subnet that a route has",
      "networks: { n: { subnet: 10.71.3.0/24 } }\ncontainers:\n  c: { networks: [n], command: [x] }",
      "network n: the host has subnet 10.71.3.0/24 already: route 10.71.0.0/16 dev up0; choose another, or none to have one chosen",
    ],
    [
      "a subnet that another project has",
      "networks: { n: { subnet: 10.70.0.0/16 } }\ncontainers:\n  c: { networks: [n], command: [x] }",
      "network n: the host has subnet 10.70.0.0/16 already: route 10.70.0.0/24 dev there-net; choose another, or none to have one chosen",
    ],
    [
      "a name that another project has",
      "containers:\n  taken: { command: [x] }",
      "container taken is there already, of project there: names are unique on a host; choose another, or take that project down (tsnet down --project there)",
    ],
    [
      "a namespace that somebody else made",
      "containers:\n  lost: { command: [x] }",
      "network namespace new.lost is there already and not ours: ip netns delete new.lost",
    ],
    [
      "a bridge that is none",
      "networks: { n: { bridge: isveth } }\ncontainers:\n  c: { networks: [n], command: [x] }",
      "network n: isveth is there already and is no bridge (veth): choose another",
    ],
    [
      "an external network that is not up",
      "networks: { n: { external: other.net } }\ncontainers:\n  c: { networks: [n], command: [x] }",
      "external network other.net (n) is not up: there are there.net",
    ],
    [
      "a rootfs that is missing",
      "containers:\n  c: { rootfs: /no/root, command: [x] }",
      "container c: there is no folder /no/root to be its rootfs",
    ],
    [
      "a mount that is missing",
      "containers:\n  c: { mounts: ['/no/thing:/mnt'], command: [x] }",
      "container c: there is no /no/thing to mount",
    ],
    [
      "a user that is missing",
      "containers:\n  c: { user: nosuch, command: [x] }",
      "no user nosuch in the container's /etc/passwd",
    ],
    [
      "a mistake in the file",
      "containers:\n  c: { comand: [x] }",
      /tsnet\.yaml:2:8: containers\.c\.comand: unknown key "comand", did you mean "command"\?/,
    ],
  ])("%s", async (_, yaml, message) => {
    const then = await host.snapshot();
    const project = await Project.create(host, "new", yaml);
    const { exitCode, stderr } = await project.up();
    expect(stderr.trim()).toEqual(typeof message === "string" ? `tsnet: ${message}` : expect.stringMatching(message));
    expect(exitCode).toBe(1);
    expect(await host.snapshot()).toBe(then);
  });

  test("containers row 25: how a network is shared: external, by its project's name", async () => {
    const guest = await Project.create(
      host,
      "guest",
      "networks: { n: { external: there.net } }\ncontainers:\n  visitor: { networks: [n], command: [sleep, infinity] }\n",
    );
    await guest.raise();
    expect((await guest.ps())[0]?.interfaces[0]).toMatchObject({
      network: "there.net",
      addresses: [expect.stringMatching(/^10\.70\.0\./)],
    });
    const refused = await host.run([TSNET, "down", "--project", "there"]);
    expect(refused.stderr).toBe(
      "tsnet: network there.net is used by container guest.visitor of another project: take that down first\n",
    );
    await guest.down();
    expect(await host.sh("ip -o link show type bridge")).toContain("there-net");
  });
});

// As many ups and downs as there are moments to cut one off.
describe("up that was killed", { timeout: 240_000 }, () => {
  let host: Host;
  let project: Project;
  let before: string;

  beforeAll(async () => {
    host = await world();
    before = await host.snapshot();
    project = await Project.create(host, "killed", HELLO.replace("name: hello", "name: killed"));
  });
  afterAll(() => host.destroy());

  /** Runs `up` and kills it after some time; whether it was still at work. */
  async function killedAfter(ms: number): Promise<boolean> {
    const { exitCode } = await host.run([
      "timeout",
      "-s",
      "KILL",
      `${ms / 1000}`,
      TSNET,
      "up",
      "-f",
      `${project.folder}/tsnet.yaml`,
    ]);
    return exitCode !== 0;
  }

  test("is finished by up, wherever it was cut off", async () => {
    for (let ms = 20, cut = true; cut; ms += 35) {
      cut = await killedAfter(ms);
      await project.raise();
      expect((await project.ps()).map(({ status }) => status)).toEqual(["running", "running"]);
      expect(await running(host, "sleep")).toBe(2);
      expect((await tryInside(host, "shell", "busybox", "ping", "-c1", "-W2", "10.88.1.20")).exitCode).toBe(0);
      await project.down();
      expect(await host.snapshot()).toBe(before);
    }
  });

  test("is undone by down, wherever it was cut off", async () => {
    for (let ms = 25, cut = true; cut; ms += 20) {
      cut = await killedAfter(ms);
      await project.down();
      expect(await host.snapshot()).toBe(before);
      // What an up that was killed had started ends by itself, a moment after its pipe broke.
      await expect.poll(() => running(host, "sleep|unshare|tsnet.*"), { timeout: 5000 }).toBe(0);
    }
  });
});

test("a container that was begun and never noted is gone after down", async () => {
  await using host = await world();
  const before = await host.snapshot();
  const project = await Project.create(host, "killed", HELLO.replace("name: hello", "name: killed"));
  await host.sh("mkdir -p /run/tsnet/containers/shell && echo half >/run/tsnet/containers/shell/.12-34567890.tmp");
  await project.down();
  expect(await host.snapshot()).toBe(before);
});

describe("down that was killed", () => {
  test("is finished by down, and by up, wherever it was cut off", async () => {
    await using host = await world();
    const before = await host.snapshot();
    const project = await Project.create(host, "killed", HELLO.replace("name: hello", "name: killed"));
    const path = `${project.folder}/tsnet.yaml`;
    // A busy machine takes longer for all of it: the steps grow, so that their number does not.
    for (let ms = 20, cut = true, at = 0; cut; ms += 15 + ms / 10, at++) {
      await project.raise();
      const { exitCode } = await host.run(["timeout", "-s", "KILL", `${ms / 1000}`, TSNET, "down", "-f", path]);
      cut = exitCode !== 0;
      if (at % 2 === 0) {
        await project.raise();
        expect((await project.ps()).map(({ status }) => status)).toEqual(["running", "running"]);
        expect(await running(host, "sleep")).toBe(2);
      }
      await project.down();
      expect(await host.snapshot()).toBe(before);
      // What an up that was killed had started ends by itself, a moment after its pipe broke.
      await expect.poll(() => running(host, "sleep|unshare|tsnet.*"), { timeout: 5000 }).toBe(0);
    }
  }, 180_000);
});

describe("a network by nftables", () => {
  test("is made and taken down with no word to iptables", async () => {
    await using host = await world();
    const before = await host.snapshot();
    const project = await Project.create(
      host,
      "nft",
      HELLO.replace("name: hello", "name: nft").replace('/64" }', '/64", options: { backend: nftables } }'),
    );
    await project.raise();
    expect(await host.sh("iptables-save | grep -c -i tsnet || true")).toBe("0\n");
    expect(await host.sh("nft list tables")).toMatch(/^table inet tsnet$/m);
    await serve(host, "nft.web", 80, "web");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    const then = await host.snapshot();
    await host.sh("conntrack -F 2>/dev/null");
    await project.raise();
    expect(rulesOf(await host.snapshot())).toBe(rulesOf(then));
    await host.sh("nft flush ruleset");
    await project.raise();
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    await project.down();
    expect(await host.snapshot()).toBe(before);
  });
});

describe("a host without control groups", () => {
  test("containers row 16: has its containers ended all the same, with what they started", async () => {
    await using host = await Host.create();
    await host.sh("for m in $(grep ' cgroup2 ' /proc/self/mounts | cut -d' ' -f2); do umount -l $m; done");
    const daemon = (more: string) => `{ ${more}command: [sh, -c, "setsid -f sleep 4712; sleep infinity"] }`;
    const project = await Project.create(
      host,
      "old",
      `containers:\n  one: ${daemon("")}\n  two: ${daemon("pid: host, ")}\n`,
    );
    await project.raise();
    await eventually(async () => (await running(host, "sleep")) === 4, "both have started their daemon");
    await project.down();
    expect(await running(host, "sleep")).toBe(0);
    await eventually(async () => (await running(host, "unshare|tsnet.*")) === 0, "who waited for them has ended, too");
  });
});

describe("the example", () => {
  test("shows a page through its published port, and from one container to the other", async () => {
    await using host = await Host.create();
    const file = `${PROJECT}/examples/hello/tsnet.yaml`;
    await host.ok([TSNET, "up", "-f", file]);
    expect(await host.ok(["busybox", "wget", "-qO-", "http://127.0.0.1:8080/"])).toContain("Hello");
    expect(await inside(host, "shell", "busybox", "wget", "-qO-", "http://10.88.1.20/")).toContain("Hello");
    const inspected = JSON.parse(await host.ok([TSNET, "inspect", "web", "hello.front", "-o", "json"]));
    expect(inspected).toMatchObject([
      { project: "hello", name: "web", status: "running", netns: "/run/netns/hello.web", ports: ["8080->80/tcp"] },
      { id: "hello.front", bridge: "hello-front", containers: { web: ["10.88.1.20/24"] } },
    ]);
    expect(await host.ok([TSNET, "inspect", "web"])).toMatch(/^interfaces\[0\]\.mac +[0-9a-f:]{17}$/m);
    await host.ok([TSNET, "down", "-f", file]);
  });
});

describe("a command called wrongly", () => {
  test.each([
    [["down"], "no tsnet.yaml here: name the project with --project, or its file with -f"],
    [["ps", "--project", "x", "-f", "y"], "--file and --project name the same thing: give one of them"],
    [["down", "-t", "soon"], /It is a whole number of seconds/],
    [["exec", "-e", "=x", "c", "true"], "--env =x is no variable: write NAME=VALUE"],
    [["logs"], /missing required argument 'name'/],
  ])("%j is exit 2", async (args, message) => {
    await using host = await Host.create();
    const { exitCode, stderr } = await host.run([TSNET, ...args]);
    expect(stderr).toEqual(typeof message === "string" ? `tsnet: ${message}\n` : expect.stringMatching(message));
    expect(exitCode).toBe(2);
  });

  test.each([
    [["up"], "no tsnet.yaml here: write one (tsnet up --help shows how), or name another with -f"],
    [["logs", "web"], "no container web: there are none"],
    [["inspect", "web"], "no container or network web: there are none"],
  ])("%j with nothing there is exit 1", async (args, message) => {
    await using host = await Host.create();
    const { exitCode, stderr } = await host.run([TSNET, ...args]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: `tsnet: ${message}\n` });
  });
});

describe("containers row 27: a reboot", () => {
  test("ends with it what runs: its state is in /run, and up starts anew over what a disk kept of it", async () => {
    await using host = await Host.create();
    const project = await Project.create(host, "boot", file({ one: "sleep 1000" }, "10.99.0.0/24"));
    await project.raise();
    expect(await host.sh("find /var/lib/tsnet -type f 2>/dev/null || true")).toBe("");
    // As after a boot with a /run on disk: the files are there, processes, links and namespaces are not.
    await host.sh(`
      sed -i 's/"bootId": "[^"]*"/"bootId": "another"/' /run/tsnet/containers/one/state.json
      helper=$(pgrep -x tsnet-helper); kill -9 $(cut -d' ' -f4 /proc/$helper/stat) $helper
      kill -9 $(pgrep -x sleep); ip netns del boot.one; ip link del edit-net 2>/dev/null || ip link del boot-net
    `);
    expect((await project.ps())[0]?.status).toBe("exited (?)");
    await project.raise();
    expect((await project.ps())[0]?.status).toBe("running");
    expect((await tryInside(host, "one", "busybox", "ping", "-c1", "-W2", "10.99.0.1")).exitCode).toBe(0);
  });
});

/** A project of containers on one network. */
function file(commands: Readonly<Record<string, string>>, subnet?: string): string {
  const containers = Object.entries(commands).map(
    ([name, command]) =>
      `  ${name}: { networks: [net], command: [${command
        .split(" ")
        .map((word) => `"${word}"`)
        .join(", ")}] }`,
  );
  return `networks: { net: ${subnet === undefined ? "" : `{ subnet: ${subnet} }`} }\ncontainers:\n${containers.join("\n")}\n`;
}

/** How many processes of these names run; the host's init waits for none, so there are dead ones. */
async function running(host: Host, names: string): Promise<number> {
  return Number(await host.sh(`pgrep --runstates R,S,D,T -c -x '${names}' || true`));
}

/** The part of a snapshot that is about rules, in an order of its own. */
function rulesOf(snapshot: string): string {
  const rules = /# iptables-nft-save[\s\S]*?(?=# netns)/.exec(snapshot)?.[0] ?? "";
  return rules.split("\n").toSorted().join("\n");
}
