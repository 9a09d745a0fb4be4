/** Published ports of standalone containers: who reaches them, who holds them, and what becomes of connections. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Host, PROJECT, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { eventually, inside, Project } from "./standalone.ts";
import { echoServer, Stream } from "./streams.ts";
import { BEYOND, HOST, world } from "./world.ts";

/** More addresses of the host, on the same segment. */
const SECOND = { 4: "192.168.50.3", 6: "fd50::3" } as const;
const GATEWAY = "10.88.1.1";

const file = (backend: string) => `
name: ports
networks:
  front: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64", options: { backend: ${backend} } }
  four: { subnet: 10.88.2.0/24, options: { backend: ${backend} } }
containers:
  web:
    networks: { front: { address: [10.88.1.20, "fd88:1::20"] } }
    ports:
      - 8080:80
      - 8080:80/udp
      - 127.0.0.1:8081:80
      - 127.0.0.1:8081:80/udp
      - "[::1]:8082:80"
      - "[::1]:8082:80/udp"
      - ${HOST[4]}:8083:80
      - "[${HOST[6]}]:8083:80"
      - 9000-9002:90-92
    command: [sleep, infinity]
  other: { networks: [front], command: [sleep, infinity] }
  old: { networks: [four], ports: [8090:80, 8090:80/udp], command: [sleep, infinity] }
`;

async function worldOfTwoAddresses(): Promise<Host> {
  const host = await world();
  await host.sh(`ip addr add ${SECOND[4]}/24 dev up0; ip addr add ${SECOND[6]}/64 dev up0 nodad`);
  return host;
}

describe.each(["iptables", "nftables"])("a published port, by %s,", (backend) => {
  let host: Host;
  let project: Project;

  beforeAll(async () => {
    host = await worldOfTwoAddresses();
    project = await Project.create(host, "ports", file(backend));
    await project.raise();
    for (const port of [80, 90, 91, 92]) await serve(host, "ports.web", port, `web${port}`);
    await serve(host, "ports.old", 80, "old");
  });
  afterAll(() => host.destroy());

  test.each(["tcp", "udp"] as const)("is reached from beyond at each of the host's addresses, by %s", async (proto) => {
    for (const address of [HOST[4], SECOND[4]])
      expect(await ask(host, "beyond", proto, address, 8080)).toBe(`web80 ${BEYOND[4]}`);
    for (const address of [HOST[6], SECOND[6]])
      expect(await ask(host, "beyond", proto, address, 8080)).toBe(`web80 ${BEYOND[6]}`);
  });

  test.each(["tcp", "udp"] as const)("is reached by the host by localhost in both families, by %s", async (proto) => {
    for (const address of ["127.0.0.1", "::1", HOST[4], HOST[6], GATEWAY])
      expect(await ask(host, "", proto, address, 8080), address).toMatch(/^web80 /);
  });

  test("containers row 5: [::1] leads to a container that has IPv4 alone, too", async () => {
    expect(await ask(host, "", "tcp", "::1", 8090)).toBe("old 10.88.2.1");
    expect(await ask(host, "", "udp", "::1", 8090)).toBe("old 10.88.2.1");
  });

  test.each(["tcp", "udp"] as const)("on 127.0.0.1 is the host's alone, by %s", async (proto) => {
    expect(await ask(host, "", proto, "127.0.0.1", 8081)).toMatch(/^web80 /);
    expect(await ask(host, "", proto, "::1", 8081)).toBeUndefined();
    expect(await ask(host, "beyond", proto, HOST[4], 8081)).toBeUndefined();
    expect(await ask(host, "beyond", proto, HOST[6], 8081)).toBeUndefined();
    expect(await ask(host, "ports.other", proto, GATEWAY, 8081)).toBeUndefined();
  });

  test("on 127.0.0.1 is not reached by a neighbour who routes a packet there by hand", async () => {
    await host.sh(`ip netns exec beyond sh -c '
      ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via ${HOST[4]}
      for link in all up1; do echo 1 >/proc/sys/net/ipv4/conf/$link/route_localnet; done'`);
    expect(await ask(host, "beyond", "tcp", "127.0.0.1", 8081)).toBeUndefined();
    expect(await ask(host, "beyond", "udp", "127.0.0.1", 8081)).toBeUndefined();
    await host.sh("ip -n beyond route del 127.0.0.1; ip -n beyond addr add 127.0.0.1/8 dev lo");
  });

  test.each(["tcp", "udp"] as const)("on [::1] is the host's alone, by %s", async (proto) => {
    expect(await ask(host, "", proto, "::1", 8082)).toMatch(/^web80 /);
    expect(await ask(host, "", proto, "127.0.0.1", 8082)).toBeUndefined();
    expect(await ask(host, "beyond", proto, HOST[6], 8082)).toBeUndefined();
  });

  test("on one address is reached there, and nowhere else", async () => {
    expect(await ask(host, "beyond", "tcp", HOST[4], 8083)).toBe(`web80 ${BEYOND[4]}`);
    expect(await ask(host, "beyond", "tcp", HOST[6], 8083)).toBe(`web80 ${BEYOND[6]}`);
    for (const address of [SECOND[4], SECOND[6]])
      expect(await ask(host, "beyond", "tcp", address, 8083), address).toBeUndefined();
    expect(await ask(host, "", "tcp", "127.0.0.1", 8083)).toBeUndefined();
  });

  test("of a range leads to its counterpart", async () => {
    for (const at of [0, 1, 2]) {
      expect(await ask(host, "beyond", "tcp", HOST[4], 9000 + at)).toBe(`web${90 + at} ${BEYOND[4]}`);
      expect(await ask(host, "", "tcp", "::1", 9000 + at)).toMatch(new RegExp(`^web${90 + at} `));
    }
  });

  test("answers by UDP with the very address that it was asked at", async () => {
    for (const [netns, address] of [
      ["beyond", SECOND[4]],
      ["beyond", SECOND[6]],
      ["", "127.0.0.1"],
      ["", "::1"],
      ["", SECOND[4]],
    ] as const) {
      const stream = await Stream.open(host, netns, "udp", address, 8080);
      expect(await stream.next(), address).toMatch(/^web80 /);
      await stream.stop();
    }
  });

  test.each([
    ["tcp", "0.0.0.0"],
    ["tcp", "::"],
    ["tcp", "127.0.0.1"],
    ["tcp", HOST[6]],
    ["udp", "0.0.0.0"],
    ["udp", "::1"],
    ["udp", HOST[4]],
  ])("containers row 6: cannot be bound by a program, by %s on %s", async (proto, address) => {
    const { stderr } = await host.run([process.execPath, "-e", BIND, proto, address, "8080"], {
      env: { BUN_BE_BUN: "1" },
    });
    expect(stderr).toBe("EADDRINUSE\n");
  });

  test("is not in the way of up, and down lets go of it", async () => {
    await project.raise();
    expect((await project.ps()).flatMap(({ warnings }) => warnings)).toEqual([]);
    await project.down();
    await serve(host, "", 8080, "program");
    expect(await ask(host, "", "tcp", "::1", 8080)).toBe("program ::1");
  });
});

test("a container whose command has ended has its ports until it is stopped or removed", async () => {
  await using host = await world();
  const project = await Project.create(
    host,
    "over",
    "containers: { web: { ports: [8080:80, '127.0.0.1:8081:80/udp'], command: ['true'] } }",
  );
  await project.raise();
  await expect.poll(async () => (await project.ps())[0]?.status).toBe("exited (0)");
  const bind = async (proto: string, address: string, port: string) =>
    (await host.run([process.execPath, "-e", BIND, proto, address, port], { env: { BUN_BE_BUN: "1" } })).stderr;
  expect(await bind("tcp", "0.0.0.0", "8080")).toBe("EADDRINUSE\n");
  expect(await bind("udp", "127.0.0.1", "8081")).toBe("EADDRINUSE\n");
  await host.ok([TSNET, "stop", "web"]);
  expect(await bind("tcp", "0.0.0.0", "8080")).toBe("");
  expect(await bind("udp", "127.0.0.1", "8081")).toBe("");
  await project.down();
});

describe("the helper that holds ports", () => {
  let host: Host;
  let project: Project;

  beforeAll(async () => {
    host = await world();
    project = await Project.create(
      host,
      "held",
      `containers:\n  web: { ports: [8080:80], ${echoServer(80, "one")} }\n`,
    );
    await project.raise();
    await eventually(async () => (await answers(host, "beyond", HOST[4])) === "one", "the container serves");
  });
  afterAll(() => host.destroy());

  test("is killed: IPv4 goes on, and within a second [::1] leads there again and the port is held", async () => {
    const [stream, relayed] = [
      await Stream.open(host, "beyond", "tcp", HOST[4], 8080),
      await Stream.open(host, "", "tcp", "::1", 8080),
    ];
    for (const one of [stream, relayed]) expect(await one.next()).toBe("one");
    await host.sh("kill -9 $(pgrep -x tsnet-helper)");
    await eventually(async () => (await answers(host, "", "::1")) === "one", "[::1] is relayed", 2000);
    const bound = await host.run([process.execPath, "-e", BIND, "tcp", "::", "8080"], { env: { BUN_BE_BUN: "1" } });
    expect(bound.stderr).toBe("EADDRINUSE\n");
    expect(await answers(host, "beyond", HOST[4])).toBe("one");
    expect(await relayed.next()).toBe("end");
    await stream.stop();
    await expect(stream.next()).rejects.toThrow("no other answer");
  });

  test("containers row 6: is not there: ps says who has taken a port since", async () => {
    await host.sh("kill -9 $(pgrep -x sh -P 1 -f tsnet-helper) $(pgrep -x tsnet-helper)");
    await serve(host, "", 8080, "thief");
    const { stderr } = await host.run([TSNET, "ps", "-a"]);
    expect(stderr).toMatch(
      /^warning: web: \S+ \(pid \d+\) has taken host port 8080\/tcp since, and gets no traffic from outside$/m,
    );
  });
});

describe("a container that goes", () => {
  const one = (more = "") =>
    `networks: { net: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64" } }\ncontainers:\n  web: { networks: [net], ports: [8080:80, 8080:80/udp, 9000:80], ${echoServer(80, `one${more}`)} }\n`;

  test("ends its connections, and another one on the same port is reached at once, by whoever asks on, too", async () => {
    await using host = await world();
    const project = await Project.create(host, "re", one());
    await project.raise();
    await eventually(async () => (await answers(host, "beyond", HOST[4])) === "one", "the container serves");
    const places = [
      ["beyond", HOST[4]],
      ["beyond", HOST[6]],
      ["", "127.0.0.1"],
      ["", "::1"],
    ] as const;
    const open = (proto: "tcp" | "udp") =>
      Promise.all(places.map(([netns, address]) => Stream.open(host, netns, proto, address, 8080)));
    const [tcp, udp] = [await open("tcp"), await open("udp")];
    for (const stream of [...tcp, ...udp]) expect(await stream.next()).toBe("one");
    await project.write(one(" again"));
    await project.raise();
    for (const stream of tcp) expect(await stream.next()).toBe("end");
    for (const stream of udp) expect(await stream.next()).toBe("one again");
    for (const [netns, address] of places) expect(await answers(host, netns, address), address).toBe("one again");
  });

  test("goes on with other ports: those that are new lead to it, those that are gone do not, for who is in, too", async () => {
    await using host = await world();
    const project = await Project.create(host, "re", one());
    await project.raise();
    const pid = async () => (await project.ps())[0]?.pid;
    const then = await pid();
    const places = [
      ["beyond", HOST[4]],
      ["beyond", HOST[6]],
      ["", "127.0.0.1"],
      ["", "::1"],
    ] as const;
    const open = (proto: "tcp" | "udp") =>
      Promise.all(places.map(([netns, address]) => Stream.open(host, netns, proto, address, 8080)));
    const [tcp, udp] = [await open("tcp"), await open("udp")];
    const staying = await Promise.all(
      [HOST[4], HOST[6]].map((address) => Stream.open(host, "beyond", "tcp", address, 9000)),
    );
    for (const stream of [...tcp, ...udp, ...staying]) expect(await stream.next()).toBe("one");
    await project.write(one().replaceAll("8080:", "8081:"));
    await project.raise();
    expect(await pid()).toBe(then);
    for (const stream of tcp) expect(await stream.next()).toBe("end");
    for (const stream of staying) await expect(stream.next(200)).rejects.toThrow("no other answer");
    for (const [netns, address] of places) expect(await answers(host, netns, address, 8081), address).toBe("one");
    await Promise.all(udp.map((stream) => stream.stop()));
    await serve(host, "", 8080, "program");
    for (const [netns, address] of places)
      expect(await ask(host, netns, "tcp", address, 8080), address).toMatch(/^program /);
  });

  test("leaves no flow that leads to it, though somebody asks on", async () => {
    await using host = await world();
    const project = await Project.create(host, "re", one());
    await project.raise();
    const streams = [
      await Stream.open(host, "beyond", "udp", HOST[4], 8080),
      await Stream.open(host, "beyond", "udp", HOST[6], 8080),
      await Stream.open(host, "", "udp", "::1", 8080),
    ];
    for (const stream of streams) expect(await stream.next()).toBe("one");
    await project.down();
    const flows = await host.sh(
      "conntrack -L 2>/dev/null | grep -v dst=224.0.0. || true; conntrack -L -f ipv6 2>/dev/null",
    );
    expect(flows).toMatch(/dport=8080/);
    expect(flows).not.toMatch(/10\.88\.1\.|fd88:1:/);
  });
});

describe("a port that nobody named", () => {
  const yaml = (command: string, more = "") =>
    `containers:\n  web: { ports: [80, 127.0.0.1::81, 80/udp${more}], command: [sleep, "${command}"] }\n`;
  const portsOf = async (project: Project) => (await project.ps())[0]?.ports ?? [];

  test("is chosen, shown, and stays", async () => {
    await using host = await world();
    const project = await Project.create(host, "any", yaml("1000"));
    await project.raise();
    const ports = await portsOf(project);
    expect(ports).toEqual([
      expect.stringMatching(/^\d{5}->80\/tcp$/),
      expect.stringMatching(/^127\.0\.0\.1:\d{5}->81\/tcp$/),
      expect.stringMatching(/^\d{5}->80\/udp$/),
    ]);
    await serve(host, "any.web", 80, "web");
    const port = Number.parseInt(ports[0] ?? "", 10);
    expect(port).toBeGreaterThanOrEqual(49152);
    expect(await ask(host, "beyond", "tcp", HOST[4], port)).toBe(`web ${BEYOND[4]}`);
    const pid = (await project.ps())[0]?.pid;
    await project.raise();
    expect((await project.ps())[0]?.pid).toBe(pid);
    await project.write(yaml("2000", ", 82"));
    await project.raise();
    expect((await portsOf(project)).slice(0, 3)).toEqual(ports);
    await project.down();
    await project.raise();
    expect((await portsOf(project)).slice(0, 3)).toEqual(ports);
    await project.down();
    await serve(host, "", port, "program");
    await project.raise();
    expect((await portsOf(project))[0]).not.toBe(ports[0]);
    expect(await inside(host, "web", "true")).toBe("");
  });
});

describe("docs/ports.md", () => {
  test("its commands work, one after the other as they stand there", async () => {
    await using host = await world();
    const before = await host.snapshot();
    const [, commands = ""] = /^```sh\n([\s\S]*?)^```/m.exec(readFileSync(`${PROJECT}/docs/ports.md`, "utf8")) ?? [];
    await host.sh(`mkdir -p /opt/bin; ln -s ${TSNET} /opt/bin/tsnet`);
    const said = await host.ok(["sh", "-ec", `PATH=/opt/bin:$PATH\n${commands}`]);
    expect(said).toMatch(/^web\nweb\nPROJECT/);
    expect(said).toMatch(
      /^local +web .* 8080->80\/tcp, 8053->53\/udp, 127\.0\.0\.1:9000-9002->9000-9002\/tcp, \d{5}->443\/tcp +busybox/m,
    );
    await host.ok([TSNET, "network", "prune", "-f"]);
    expect(await host.snapshot()).toBe(before);
  });
});

/** What an echo server answers, or undefined. */
async function answers(host: Host, netns: string, address: string, port = 8080): Promise<string | undefined> {
  const stream = await Stream.open(host, netns, "tcp", address, port);
  try {
    const answer = await stream.next(1000);
    return answer === "end" ? undefined : answer;
  } catch {
    return undefined;
  } finally {
    await stream.stop();
  }
}

/** Binds a port as a program would, and tells the error. */
const BIND = `
const [proto, address, port] = process.argv.slice(-3);
const failed = (error) => { console.error(error.code); process.exit(1); };
try {
  if (proto === "udp") {
    await Bun.udpSocket({ hostname: address, port: Number(port) });
    process.exit(0);
  } else require("node:net").createServer().on("error", failed).listen({ host: address, port: Number(port) }, () => process.exit(0));
} catch (error) { failed(error); }
`;
