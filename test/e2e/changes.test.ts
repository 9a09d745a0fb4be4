/** `tsnet up` after an edit: what differs is changed under the running container, and nothing else. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Host, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { inside, inTerminal, Project, tryInside } from "./standalone.ts";
import { echoServer, Stream } from "./streams.ts";
import { HOST, world } from "./world.ts";

const FILE = (keys: string, more = "") => `
networks:
  front: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64", options: { backend: BACKEND } }
  back: { subnet: 10.88.2.0/24, ipv6: "fd88:2::/64", options: { backend: BACKEND } }
containers:
  web: { ${keys}, ${echoServer(81, "echo")} }
  peer: { networks: [front, back], command: [sleep, infinity] }
${more}`;

describe.each(["iptables", "nftables"])("a container that runs (%s)", (backend) => {
  let host: Host;
  let project: Project;
  let pid: number | undefined;

  const web = async () => (await project.ps()).find(({ name }) => name === "web");
  const edit = async (keys: string) => {
    await project.write(FILE(keys).replaceAll("BACKEND", backend));
    return project.raise();
  };
  /** What the server says, which has to be the same by both families. */
  const asked = async (port: number) => {
    const [four, six] = await Promise.all(([4, 6] as const).map((of) => ask(host, "beyond", "tcp", HOST[of], port)));
    const who = (said?: string) => said?.split(" ")[0];
    return who(four) === who(six) ? four : `${four} by IPv4, and ${six} by IPv6`;
  };

  beforeAll(async () => {
    host = await world();
    project = await Project.create(
      host,
      "edit",
      FILE("networks: [front], ports: ['8080:80', '7000:81']").replaceAll("BACKEND", backend),
    );
    await project.raise();
    await serve(host, "edit.web", 80, "web");
    pid = (await web())?.pid;
  });
  afterAll(() => host.destroy());

  test("publishes a port more, and connections to the others go on", async () => {
    const streams = await Promise.all(
      [HOST[4], HOST[6]].map((address) => Stream.open(host, "beyond", "tcp", address, 7000)),
    );
    for (const stream of streams) expect(await stream.next()).toBe("echo");
    await edit("networks: [front], ports: ['8080:80', '7000:81', '8081:80']");
    expect(await asked(8080)).toMatch(/^web /);
    expect(await asked(8081)).toMatch(/^web /);
    expect(await web()).toMatchObject({ pid, ports: ["8080->80/tcp", "7000->81/tcp", "8081->80/tcp"] });
    // It ends when its connection does.
    for (const stream of streams) {
      await expect(stream.next(300)).rejects.toThrow("no other answer");
      await stream.stop();
    }
  });

  test("no longer publishes one, and then none", async () => {
    await edit("networks: [front], ports: ['8081:80']");
    expect(await asked(8080)).toBeUndefined();
    expect(await asked(8081)).toMatch(/^web /);
    await edit("networks: [front]");
    expect(await asked(8081)).toBeUndefined();
    expect(await web()).toMatchObject({ pid, ports: [] });
    await edit("networks: [front], ports: ['8080:80']");
    expect(await asked(8080)).toMatch(/^web /);
  });

  test("joins a network and is found there by name, and leaves it again", async () => {
    await edit("networks: [front, back], ports: ['8080:80']");
    expect(await web()).toMatchObject({
      pid,
      interfaces: [{ network: "edit.front" }, { name: "eth1", network: "edit.back" }],
    });
    expect(await inside(host, "peer", "getent", "ahostsv4", "web.back")).toMatch(/^10\.88\.2\.\d+ /);
    expect(await inside(host, "peer", "getent", "ahostsv6", "web.back")).toMatch(/^fd88:2::\w+ /);
    expect(await inside(host, "web", "cat", "/etc/hosts")).toMatch(/^10\.88\.2\.\d+ web$/m);
    await edit("networks: [front], ports: ['8080:80']");
    expect(await web()).toMatchObject({ pid, interfaces: [{ network: "edit.front" }] });
    expect(await inside(host, "web", "ls", "/sys/class/net")).toBe("eth0\nlo\n");
    expect((await tryInside(host, "peer", "getent", "hosts", "web.back")).exitCode).not.toBe(0);
    expect(await inside(host, "web", "cat", "/etc/hosts")).not.toContain("10.88.2.");
  });

  test("moves to another network with its ports and its default route", async () => {
    await edit("networks: [back], ports: ['8080:80']");
    expect(await asked(8080)).toMatch(/^web /);
    expect(await inside(host, "web", "ip", "route", "show", "default")).toContain("via 10.88.2.1 dev eth0");
    expect(await inside(host, "web", "ip", "-6", "route", "show", "default")).toContain("via fd88:2::1 dev eth0");
    await edit("networks: [front], ports: ['8080:80']");
    expect(await web()).toMatchObject({ pid });
  });

  test("gets an alias, and keeps its address", async () => {
    const before = (await web())?.interfaces;
    await edit("networks: { front: { aliases: [www] } }, ports: ['8080:80']");
    expect(await inside(host, "peer", "getent", "ahostsv4", "www")).toMatch(/^10\.88\.1\.\d+ /);
    expect(await web()).toMatchObject({ pid, interfaces: before });
  });

  test("is moved with its network to another subnet", async () => {
    await project.write(
      (await host.ok(["cat", `${project.folder}/tsnet.yaml`])).replace("10.88.1.0/24", "10.88.3.0/24"),
    );
    await project.raise();
    const { pid: now, interfaces } = (await web()) ?? {};
    expect(now).toBe(pid);
    expect(interfaces?.[0]?.addresses).toEqual([
      expect.stringMatching(/^10\.88\.3\./),
      expect.stringMatching(/^fd88:1::/),
    ]);
    expect(await asked(8080)).toMatch(/^web /);
  });

  test("takes a port that another lets go in the same edit", async () => {
    const given = FILE("networks: [front]")
      .replaceAll("BACKEND", backend)
      .replace("peer: { networks: [front, back]", "peer: { networks: [front, back], ports: ['8080:80']");
    await project.write(given);
    await project.raise();
    expect((await project.ps()).map(({ name, ports }) => [name, ...ports])).toEqual([
      ["peer", "8080->80/tcp"],
      ["web"],
    ]);
    await edit("networks: [front], ports: ['8080:80']");
    expect(await asked(8080)).toMatch(/^web /);
    expect(await web()).toMatchObject({ pid });
  });

  test("is changed to the end by the next up, wherever one was cut off", async () => {
    const keys = ["networks: [front, back], ports: ['8080:80', '8082:80']", "networks: [back], ports: ['8080:80']"];
    for (let ms = 60, at = 0; ms < 600; ms += 60, at++) {
      await project.write(FILE(keys[at % 2] ?? "").replaceAll("BACKEND", backend));
      await host.run(["timeout", "-s", "KILL", `${ms / 1000}`, TSNET, "up", "-f", `${project.folder}/tsnet.yaml`]);
      await project.raise();
      expect((await web())?.interfaces.map(({ network }) => network)).toEqual(
        at % 2 === 0 ? ["edit.front", "edit.back"] : ["edit.back"],
      );
      expect(await asked(8080)).toMatch(/^web /);
      expect(await web()).toMatchObject({ pid });
    }
  });
});

describe("up", () => {
  let host: Host;
  let project: Project;
  const yaml = FILE("networks: [front], ports: ['8080:80']")
    .replaceAll(/, ipv6: "[^"]+", options: \{ backend: BACKEND \}/g, "")
    .replace(echoServer(81, "echo"), "command: [sleep, infinity]");
  const dryRun = () => host.run([TSNET, "up", "-n", "-f", `${project.folder}/tsnet.yaml`]);

  beforeAll(async () => {
    host = await world();
    project = await Project.create(host, "plan", yaml);
  });
  afterAll(() => host.destroy());

  test("--dry-run shows what there is to make, and makes nothing", async () => {
    const before = await host.snapshot();
    expect(await dryRun()).toEqual({
      exitCode: 0,
      stderr: "",
      stdout: `ACTION  WHAT       NAME   HOW
make    network    front  10.88.1.0/24 on bridge plan-front
make    network    back   10.88.2.0/24 on bridge plan-back
make    container  web    sleep infinity
make    container  peer   sleep infinity
`,
    });
    expect(await host.snapshot()).toBe(before);
  });

  test("writes nothing on standard error where that is no terminal", async () => {
    expect((await project.up()).stderr).toBe("");
  });

  test("--dry-run shows what differs, and why a container has to be made anew", async () => {
    await project.write(
      yaml
        .replace("[front], ports: ['8080:80']", "{ back: , front: { aliases: [www] } }, ports: ['8081:80']")
        .replace("[front, back], command: [sleep, infinity]", "[front], command: [sleep, '1000'], hostname: other"),
    );
    expect((await dryRun()).stdout).toBe(`ACTION  WHAT       NAME  HOW
change  container  web   joins back, joins anew front, is called www on front, publishes 8081->80/tcp, no longer publishes 8080->80/tcp
remake  container  peer  its command and hostname have changed
`);
    const { stderr } = await project.up();
    expect(stderr).toBe("tsnet: peer was made anew: its command and hostname have changed\n");
    expect((await dryRun()).stdout).toBe("all is as the file says\n");
  });

  test("--dry-run shows what somebody took away", async () => {
    await host.sh("ip -n plan.web link del eth0");
    expect((await dryRun()).stdout).toMatch(/^(ACTION .*\nrepair +container +web .*\n|all is as the file says\n)$/);
  });

  test("shows a line a container on a terminal, which is gone at the end", async () => {
    await project.write(`${yaml}  one: { command: [sleep, infinity] }\n  two: { command: [sleep, infinity] }\n`);
    const shown = await inTerminal(
      host,
      `env -u NO_COLOR ${TSNET} up -f ${project.folder}/tsnet.yaml 2>&1 >/dev/null; echo ready`,
      "ready",
      "",
    );
    expect(shown).toMatch(/^one +(waits for its turn|joins its networks|gets its root)\r$/m);
    // The cursor goes up, and all below is erased, before anything else is written.
    expect(shown.split("\u001b[J").at(-1)).toMatch(/^tsnet: peer was made anew: .*\r\nready\r\n$/);
  });
});
