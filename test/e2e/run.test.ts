/** Containers by command: `tsnet run`, `stop` and `rm`, as Docker's users type them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Host, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { eventually, inTerminal, makeRootfs, Project, type Shown } from "./standalone.ts";
import { HOST, world } from "./world.ts";

const run = (host: Host, ...args: readonly string[]) => host.run([TSNET, "run", ...args]);

async function shown(host: Host): Promise<readonly Shown[]> {
  return JSON.parse(await host.ok([TSNET, "ps", "-a", "-o", "json"])) as readonly Shown[];
}

describe("containers row 28: run in the foreground", () => {
  let host: Host;
  let before: string;

  beforeAll(async () => {
    host = await Host.create();
    before = await host.snapshot();
  });
  afterAll(() => host.destroy());

  test("passes on standard input, output and error", async () => {
    const { stdout, stderr } = await host.run([TSNET, "run", "--rm", "sh", "-c", "cat; echo oops >&2"], {
      stdin: "hello\n",
    });
    expect([stdout, stderr]).toEqual(["hello\n", "oops\n"]);
  });

  test.each([
    ["the command's exit code", ["--rm", "sh", "-c", "exit 7"], 7],
    ["127 for a command that is not there", ["--rm", "nosuchprogram"], 127],
    ["127 also in the background", ["-d", "nosuchprogram"], 127],
    ["126 for one that cannot be started", ["--rm", "/etc/passwd"], 126],
    ["126 also in the background", ["-d", "/etc/passwd"], 126],
    ["125 for what tsnet cannot do", ["--network", "nosuch", "true"], 125],
    ["125 for a port that is none", ["-p", "80:http", "true"], 125],
  ])("returns %s", async (_, args, code) => {
    expect((await run(host, ...args)).exitCode).toBe(code);
  });

  test("leaves options behind the command to the command", async () => {
    expect(await host.ok([TSNET, "run", "--rm", "echo", "-d", "--rm", "--help"])).toBe("-d --rm --help\n");
  });

  test("gives it a terminal where there is one, of its size, with Ctrl-C for the command alone", async () => {
    const command = `stty rows 33 cols 99; ${TSNET} run --rm sh -c 'trap "echo interrupted; exit 5" INT; stty size; echo ready; while :; do sleep 0.1; done'; echo code $?`;
    const terminal = await inTerminal(host, command, "ready", "\u0003");
    expect(terminal).toContain("33 99");
    expect(terminal).toContain("interrupted");
    expect(terminal).toContain("code 5");
  });

  test("has Ctrl-C end a command without a handler, though it is the first process of its pid namespace", async () => {
    const command = `${TSNET} run --rm --name ready tail -f /etc/hostname; echo code $?`;
    expect(await inTerminal(host, command, "ready", "\u0003")).toBe("ready\r\n^Ccode 130\r\n");
  });

  test("hands signals to a command that has a handler, and ends one that has none", async () => {
    for (const [script, code] of [
      ["trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.1; done", 9],
      ["exec tail -f /etc/hostname", 143],
    ] as const) {
      const child = host.spawn([
        "sh",
        "-c",
        `${TSNET} run --name ready --rm sh -c "$1" & echo $! >/tmp/run.pid; wait $!`,
        "sh",
        script,
      ]);
      const reader = child.stdout.getReader();
      expect(new TextDecoder().decode((await reader.read()).value)).toBe("ready\n");
      await host.sh("kill -TERM $(cat /tmp/run.pid)");
      expect(await child.exited).toBe(code);
    }
  });

  test("with --rm leaves the host as it was", async () => {
    expect(await shown(host)).toEqual([]);
    expect(await host.snapshot()).toBe(before);
  });

  test("without --rm keeps the container, with its exit code, until rm", async () => {
    expect((await run(host, "--name", "once", "sh", "-c", "exit 3")).exitCode).toBe(3);
    expect(await shown(host)).toMatchObject([{ name: "once", project: "local", status: "exited (3)" }]);
    expect(await host.ok([TSNET, "rm", "once"])).toBe("once\n");
    expect(await host.snapshot()).toBe(before);
  });
});

describe("run in the background", () => {
  let host: Host;
  let before: string;

  beforeAll(async () => {
    host = await world();
    before = await host.snapshot();
    expect(await host.ok([TSNET, "run", "-d", "--name", "web", "-p", "8080:80", "sleep", "infinity"])).toBe("web\n");
    await serve(host, "local.web", 80, "web");
  });
  afterAll(() => host.destroy());

  test("publishes ports", async () => {
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toMatch(/^web /);
  });

  test("makes up names of the command's", async () => {
    expect(await host.ok([TSNET, "run", "-d", "/bin/sleep", "infinity"])).toBe("sleep\n");
    expect(await host.ok([TSNET, "run", "-d", "sleep", "infinity"])).toBe("sleep-2\n");
    expect(await host.ok([TSNET, "ps", "-q", "--project", "local"])).toBe("sleep\nsleep-2\nweb\n");
    expect(await host.ok([TSNET, "rm", "-f", "-t", "0", "sleep", "sleep-2"])).toBe("sleep\nsleep-2\n");
  });

  test("has the containers of a network find each other by name and by alias", async () => {
    await run(host, "-d", "--name", "srv", "--network-alias", "www", "busybox", "httpd", "-f", "-h", "/opt");
    const asked = async (name: string) =>
      (await run(host, "--rm", "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", `http://${name}/`))
        .stdout;
    await eventually(async () => (await asked("srv")) === "404", "the server answers by name");
    expect(await asked("www")).toBe("404");
    await host.ok([TSNET, "rm", "-f", "srv"]);
  });

  test("takes environment, mounts, folder, user and host name", async () => {
    await host.sh("mkdir -p /opt/in && echo content >/opt/in/file");
    const script = "echo $A $HERE $(printenv UNSET || echo none) $PWD $(id -un) $(hostname) $(cat file); touch x";
    const options = "--rm -e A=b=c -e HERE -e UNSET -v ./in:/mnt:ro -w /mnt -u daemon -h inside";
    const out = await host.run(["sh", "-c", `cd /opt; HERE=there ${TSNET} run ${options} sh -c "$0"`, script]);
    expect(out.stdout).toBe("b=c there none /mnt daemon inside content\n");
    expect(out.stderr).toContain("Read-only file system");
  });

  test("runs on a root of its own", async () => {
    const root = await makeRootfs(host, "/opt/root");
    expect(await host.ok([TSNET, "run", "--rm", "--rootfs", root, "ls", "/bin/busybox"])).toBe("/bin/busybox\n");
  });

  test.each([
    ["host", /^\d+: up0/m],
    ["none", /^1: lo.*\n$/],
    ["container:web", /inet 172\.17\.0\.2\//],
  ])("--network %s", async (network, expected) => {
    const { stdout } = await run(host, "--rm", "--network", network, "ip", "-o", "-4", "address");
    expect(stdout).toMatch(expected);
  });

  test("joins a network of a file, with an address and an alias of its choice", async () => {
    const yaml =
      "networks: { net: { subnet: 10.66.0.0/24 } }\ncontainers:\n  one: { networks: [net], command: [sleep, infinity] }\n";
    const project = await Project.create(host, "shared", yaml);
    await project.raise();
    await run(
      host,
      "-d",
      "--name",
      "guest",
      "--network",
      "shared.net:ip=10.66.0.50,alias=other",
      "--network",
      "default",
      "sleep",
      "infinity",
    );
    expect((await shown(host)).find(({ name }) => name === "guest")?.interfaces).toMatchObject([
      { network: "shared.net", addresses: ["10.66.0.50/24"] },
      { network: "local.default" },
    ]);
    const asked = await host.run([TSNET, "exec", "one", "busybox", "ping", "-c1", "-W3", "other"]);
    expect(asked.stdout).toContain("10.66.0.50");
    await host.ok([TSNET, "rm", "-f", "guest"]);
    await project.down();
  });

  test("is not removed while it runs, unless forced", async () => {
    expect(await host.run([TSNET, "rm", "web"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: "tsnet: container web still runs: tsnet stop web first, or tsnet rm -f\n",
    });
  });

  test("stopped, it is shown as ended, keeps its log, and its port is free", async () => {
    await run(host, "-d", "--name", "talks", "-p", "9090:80", "sh", "-c", "echo said; exec sleep infinity");
    expect(await host.ok([TSNET, "stop", "talks"])).toBe("talks\n");
    expect((await shown(host)).find(({ name }) => name === "talks")).toMatchObject({
      status: expect.stringMatching(/^exited/),
      ports: [],
      interfaces: [],
    });
    expect(await host.ok([TSNET, "logs", "talks"])).toBe("said\n");
    expect(await host.ok([TSNET, "run", "-d", "--name", "next", "-p", "9090:80", "sleep", "infinity"])).toBe("next\n");
    await host.ok([TSNET, "rm", "-f", "talks", "next"]);
  });

  test("a container of a file that was stopped is started by up", async () => {
    const project = await Project.create(host, "stopped", "containers:\n  one: { command: [sleep, infinity] }\n");
    await project.raise();
    await host.ok([TSNET, "stop", "one"]);
    expect(await project.ps()).toMatchObject([{ status: expect.stringMatching(/^exited/) }]);
    await project.raise();
    expect(await project.ps()).toMatchObject([{ status: "running", interfaces: [{ name: "eth0" }] }]);
    await project.down();
  });

  test("what a command made is told apart from what a file made", async () => {
    const project = await Project.create(host, "clash", "containers:\n  web: { command: [sleep, infinity] }\n");
    expect((await project.up()).stderr).toContain(
      "container web is there already, made by command: names are unique on a host; choose another, or take it away (tsnet rm -f web)",
    );
    expect((await host.run([TSNET, "network", "rm", "default"])).stderr).toBe(
      "tsnet: network default cannot be removed: container web is on it: tsnet network disconnect default web\n",
    );
    await host.ok([TSNET, "run", "-d", "--name", "brief", "sh", "-c", "echo one; echo two"]);
    await eventually(async () => !(await host.ok([TSNET, "ps"])).includes("brief  running"), "it has ended");
    expect((await host.run([TSNET, "exec", "brief", "true"])).stderr).toBe(
      "tsnet: container brief does not run: tsnet run makes another\n",
    );
    expect(await host.ok([TSNET, "logs", "--tail", "1", "brief"])).toBe("two\n");
    await host.ok([TSNET, "rm", "brief"]);
    expect(await host.run([TSNET, "exec", "-w", "/no/such", "web", "true"])).toMatchObject({
      exitCode: 125,
      stderr: "tsnet: container web: there is no folder /no/such in it to start in: choose another --workdir\n",
    });
  });

  test("the limit of open files is the usual one, or less where whoever calls has less", async () => {
    expect(await host.ok([TSNET, "run", "--rm", "sh", "-c", "ulimit -n"])).toBe("1024\n");
    expect(await host.sh(`ulimit -n 500; ${TSNET} run --rm sh -c 'ulimit -n'`)).toBe("500\n");
  });

  test("leaves nothing when the last one goes", async () => {
    await host.ok([TSNET, "rm", "-f", "web"]);
    expect(await host.snapshot()).toBe(before);
  });
});

describe("run says before anything is changed", () => {
  let host: Host;

  beforeAll(async () => {
    host = await Host.create();
    await run(host, "-d", "--name", "there", "-p", "8080:80", "sleep", "infinity");
  });
  afterAll(() => host.destroy());

  test.each([
    [
      ["--name", "there", "true"],
      "container there is there already, and runs: choose another --name, or take it away (tsnet rm -f there)",
    ],
    [
      ["--name", "a.b", "true"],
      '--name: "a.b" cannot be a container\'s name, allowed is a name of letters, digits, "-" and "_", at most 41 of them',
    ],
    [
      ["-p", "8080:81", "true"],
      "container true cannot have host port 8080/tcp: container there of project local has it; choose another",
    ],
    [["--network", "nosuch", "true"], "no network nosuch: there are default"],
    [["--ip", "abc", "true"], '--ip: found "abc", allowed is an address, or a list of one IPv4 and one IPv6 address'],
    [
      ["--ip", "10.99.0.9", "true"],
      "address 10.99.0.9 is not one that it has (172.17.0.0/16): choose another of network default",
    ],
    [
      ["--network", "host", "-p", "80:80", "true"],
      "--publish: ports go with network: bridge alone, and this container has network: host",
    ],
    [
      ["--network", "container:nobody", "true"],
      "--network container:nobody: container nobody is not there: tsnet ps -a shows those that there are",
    ],
    [["-e", "=x", "true"], '--env: found "=x", allowed is NAME=VALUE'],
    [
      ["-v", "data:/data", "true"],
      "--volume data:/data: there are no volumes: write ./data for a folder here, or a whole path",
    ],
    [["-v", "/no/such:/data", "true"], "container true: there is no /no/such to mount"],
    [
      ["-w", "/no/such", "true"],
      "container true: there is no folder /no/such in it to start in: choose another --workdir",
    ],
    [["-u", "nosuch", "true"], "no user nosuch in the container's /etc/passwd"],
    [
      ["--restart", "always", "true"],
      "--restart is not for tsnet run: tsnet is no process supervisor: run it in a systemd unit with Restart=",
    ],
    [
      ["--link=db", "true"],
      "--link is not for tsnet run: containers find those of their networks by name: --network-alias gives more names",
    ],
    [["-P", "true"], "--publish-all is not for tsnet run: there is no image that names ports: name them with -p"],
    [
      ["nginx"],
      "container nginx: there is no program nginx in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin of the host's root; --rootfs names another. There are no images: name a command",
    ],
  ])("%j", async (args, message) => {
    const then = await host.snapshot();
    const { stdout, stderr } = await run(host, ...args);
    expect({ stdout, stderr }).toEqual({ stdout: "", stderr: `tsnet: ${message}\n` });
    expect(await host.snapshot()).toBe(then);
  });

  test("stop and rm name a container that is not there, and touch none of the others", async () => {
    for (const verb of [["stop"], ["rm", "-f"]]) {
      const { exitCode, stderr } = await host.run([TSNET, ...verb, "there", "nobody"]);
      expect([exitCode, stderr]).toEqual([1, "tsnet: no container nobody: there are there\n"]);
    }
    expect(await shown(host)).toMatchObject([{ name: "there", status: "running" }]);
  });
});
