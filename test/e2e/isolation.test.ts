/** Who reaches whom: containers of different networks, the host, and the world beyond it. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { askAll, type Question } from "./asked.ts";
import { type Host, PROJECT } from "./host.ts";
import { wallsOn } from "./isolation-call.ts";
import { ask, serve } from "./packets.ts";
import { Project } from "./standalone.ts";
import { BEYOND, HOST, world } from "./world.ts";

const SERVER = "command: [sleep, infinity]";

/** Two networks with published ports, and an internal one; with `backend` for their rules. */
function walls(backend: string, more = ""): string {
  const options = backend === "" ? "" : `, options: { backend: ${backend} }`;
  return `
name: walls
networks:
  front: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64"${options}${more} }
  back: { subnet: 10.88.2.0/24, ipv6: "fd88:2::/64"${options} }
  inner: { subnet: 10.88.3.0/24, ipv6: "fd88:3::/64", internal: true${options} }
containers:
  web: { networks: { front: { address: [10.88.1.10, "fd88:1::10"] } }, ports: ["8081:80", "8081:80/udp"], ${SERVER} }
  one: { networks: { front: { address: [10.88.1.20, "fd88:1::20"] } }, ${SERVER} }
  db: { networks: { back: { address: [10.88.2.10, "fd88:2::10"] } }, ports: ["8082:80", "8082:80/udp"], ${SERVER} }
  two: { networks: { back: { address: [10.88.2.20, "fd88:2::20"] } }, ${SERVER} }
  vault: { networks: { inner: { address: [10.88.3.10, "fd88:3::10"] } }, ${SERVER} }
  three: { networks: { inner: { address: [10.88.3.20, "fd88:3::20"] } }, ${SERVER} }
`;
}

/** Whoever asks, and the namespace that it asks from. */
const ASKING = { one: "walls.one", two: "walls.two", three: "walls.three", host: "", beyond: "beyond" } as const;
type Asking = keyof typeof ASKING;

/** Whoever is asked, with what is published of it. */
const ASKED = {
  web: { 4: "10.88.1.10", 6: "fd88:1::10", port: 80, published: 8081 },
  db: { 4: "10.88.2.10", 6: "fd88:2::10", port: 80, published: 8082 },
  vault: { 4: "10.88.3.10", 6: "fd88:3::10", port: 80, published: undefined },
  host: { ...HOST, port: 7000, published: undefined },
  beyond: { ...BEYOND, port: 7000, published: undefined },
} as const;
type Asked = keyof typeof ASKED;

/**
 * A server with whoever is asked, and routes by hand to where there are none: what keeps packets out has to be the
 * walls.
 */
async function inhabit(host: Host): Promise<void> {
  for (const name of ["web", "db", "vault"]) await serve(host, `walls.${name}`, 80, name);
  await serve(host, "", 7000, "host");
  await serve(host, "beyond", 7000, "beyond");
  await host.sh(`
    ip -n beyond route add 10.88.0.0/16 via ${HOST[4]}; ip -n beyond route add fd88::/16 via ${HOST[6]}
    for name in three vault; do
      ip -n walls.$name route add default via 10.88.3.1; ip -n walls.$name route add default via fd88:3::1
    done
  `);
}

/** Who of all reaches whom, by address and by the port that is published on the host's address. */
async function matrix(host: Host): Promise<Readonly<Record<string, string>>> {
  const rows = (Object.keys(ASKING) as Asking[]).flatMap((from) =>
    (Object.keys(ASKED) as Asked[]).filter((to) => to !== from).map((to) => [from, to] as const),
  );
  const reached = await Promise.all(rows.map(([from, to]) => reach(host, from, to)));
  return Object.fromEntries(rows.map(([from, to], at) => [`${from} > ${to}`, reached[at] ?? ""]));
}

async function reach(host: Host, from: Asking, to: Asked): Promise<string> {
  const { published, port } = ASKED[to];
  const direct = questions(["tcp", "udp", "icmp"], ASKED[to], port);
  const byPort = published === undefined ? [] : questions(["tcp", "udp"], HOST, published);
  const answers = await askAll(host, ASKING[from], [...direct, ...byPort]);
  const isReached = ({ proto }: Question, at: number) => answers[at] === (proto === "icmp" ? "echo" : to);
  const address = `address ${summary(direct.map(({ what, ...one }, at) => [what, isReached(one, at)]))}`;
  if (published === undefined) return address;
  const offset = direct.length;
  return `${address}, port ${summary(byPort.map(({ what, ...one }, at) => [what, isReached(one, at + offset)]))}`;
}

function questions(protos: readonly Question["proto"][], addresses: Readonly<Record<4 | 6, string>>, port: number) {
  return protos.flatMap((proto) =>
    ([4, 6] as const).map((family) => ({ what: `${proto}${family}`, proto, address: addresses[family], port })),
  );
}

/** `all`, `none`, or what was reached: `tcp4 udp4`. */
function summary(answers: readonly (readonly [what: string, reached: boolean])[]): string {
  const good = answers.filter(([, reached]) => reached);
  if (good.length === answers.length) return "all";
  return good.length === 0 ? "none" : good.map(([what]) => what).join(" ");
}

const EXPECTED = {
  "one > web": "address all, port all",
  "one > db": "address none, port all",
  "one > vault": "address none",
  "one > host": "address all",
  "one > beyond": "address all",
  "two > web": "address none, port all",
  "two > db": "address all, port all",
  "two > vault": "address none",
  "two > host": "address all",
  "two > beyond": "address all",
  "three > web": "address none, port none",
  "three > db": "address none, port none",
  "three > vault": "address all",
  "three > host": "address none",
  "three > beyond": "address none",
  "host > web": "address all, port all",
  "host > db": "address all, port all",
  "host > vault": "address all",
  "host > beyond": "address all",
  "beyond > web": "address none, port all",
  "beyond > db": "address none, port all",
  "beyond > vault": "address none",
  "beyond > host": "address all",
};

/** A snapshot without connections of the host's own. */
function withoutOthersFlows(snapshot: string): string {
  return snapshot
    .split("\n")
    .filter((line) => !line.includes(" src=") || line.includes("=10.88."))
    .join("\n");
}

/** Hosts as others may have left them: what they did before, and what they do once containers run. */
const HOSTS: readonly (readonly [what: string, backend: string, before: string, after: string])[] = [
  ["nftables", "nftables", "", ""],
  ["iptables-nft", "iptables", "", ""],
  ["iptables-legacy", "", "iptables-legacy -A INPUT -j ACCEPT; ip6tables-legacy -A INPUT -j ACCEPT", ""],
  ["iptables with FORWARD DROP", "", "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP", ""],
  ["nftables, with FORWARD DROP in iptables", "nftables", "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP", ""],
  [
    "iptables, where somebody accepts all, first in FORWARD",
    "iptables",
    "",
    "iptables -I FORWARD -j ACCEPT; ip6tables -I FORWARD -j ACCEPT",
  ],
  [
    "nftables, where somebody accepts all, before and after",
    "nftables",
    `nft 'table inet other { chain early { type filter hook forward priority -200; accept; };
                             chain late { type filter hook forward priority 100; accept; }; }'`,
    "",
  ],
];

describe.concurrent.each(HOSTS)("isolation on a host with %s", (_, backend, before, after) => {
  test("keeps networks apart, the internal one whole, and lets in what is published", async () => {
    await using host = await world();
    await host.sh(before);
    const then = withoutOthersFlows(await host.snapshot());
    const project = await Project.create(host, "walls", walls(backend));
    await project.raise();
    await host.sh(after);
    expect(await wallsOn(host)).toBe("whole");
    await inhabit(host);
    expect(await matrix(host)).toEqual(EXPECTED);
    await project.down();
    await host.sh(after.replaceAll("-I", "-D"));
    expect(withoutOthersFlows(await host.snapshot())).toBe(then);
  });
});

describe.concurrent.each(["nftables", "iptables"] as const)("isolation by %s", (backend) => {
  const user = (rule: string) =>
    backend === "nftables"
      ? `nft add rule inet tsnet-isolation user ${rule}`
      : `iptables -t mangle -A TSNET-USER ${rule.replace("ip saddr", "-s").replace("ip daddr", "-d").replace("accept", "-j ACCEPT").replace("drop", "-j DROP")}`;
  const userRules =
    backend === "nftables"
      ? "nft list chain inet tsnet-isolation user 2>/dev/null || true"
      : "iptables-save -t mangle | grep -E '^-A TSNET-USER' || true";

  test("moby#45610, CVE-2020-8558: what is published on 127.0.0.1, and what listens there, is the host's alone", async () => {
    await using host = await world();
    await serve(host, "", 7000, "host");
    // Somebody else opened 127.0.0.1 for all links, and a neighbour on the segment sends to it.
    await host.sh(`
      sysctl -qw net.ipv4.conf.all.route_localnet=1
      for net in 127.0.0.0/8 127.0.0.1; do ip -n beyond route del table local local $net dev lo; done
      ip -n beyond route add 127.0.0.1 via ${HOST[4]} dev up1
      ip -n beyond route add 10.88.0.0/16 via ${HOST[4]}; ip -n beyond route add fd88::/16 via ${HOST[6]}
    `);
    const local = (port: number): readonly Question[] => questions(["tcp", "udp"], { 4: "127.0.0.1", 6: "::1" }, port);
    const reached = async (from: string, asked: readonly Question[]) =>
      (await askAll(host, from, asked)).filter((name) => name !== "");
    expect(await reached("beyond", local(7000))).toEqual(["host"]);
    const project = await Project.create(host, "walls", walls(backend).replaceAll('"8081:80', '"127.0.0.1:8081:80'));
    await project.raise();
    await serve(host, "walls.web", 80, "web");
    expect(await reached("beyond", [...local(7000), ...local(8081)])).toEqual([]);
    expect(await reached("beyond", questions(["tcp", "udp"], { 4: "10.88.1.10", 6: "fd88:1::10" }, 80))).toEqual([]);
    expect(await reached("beyond", questions(["tcp", "udp"], HOST, 8081))).toEqual([]);
    expect(await ask(host, "", "tcp", "127.0.0.1", 8081)).toMatch(/^web /);
    expect(await ask(host, "", "udp", "127.0.0.1", 8081)).toMatch(/^web /);
  });

  test("asks the administrator's chain first, and never touches it", async () => {
    await using host = await world();
    const before = await host.snapshot();
    const project = await Project.create(host, "walls", walls(backend));
    await project.raise();
    await inhabit(host);
    await host.sh(user(`ip saddr ${BEYOND[4]} ip daddr 10.88.2.10 accept`));
    await host.sh(user(`ip saddr ${BEYOND[4]} ip daddr 10.88.1.10 drop`));
    const mine = await host.sh(userRules);
    expect(mine).toContain(BEYOND[4]);
    const look = async () => [await reach(host, "beyond", "db"), await reach(host, "beyond", "web")];
    const opened = ["address tcp4 udp4 icmp4, port all", "address none, port tcp6 udp6"];
    expect(await look()).toEqual(opened);
    await project.raise();
    expect(await look()).toEqual(opened);
    await project.down();
    expect(await host.sh(userRules)).toBe(mine);
    await project.raise();
    expect(await host.sh(userRules)).toBe(mine);
    await host.sh(
      backend === "nftables" ? "nft flush chain inet tsnet-isolation user" : "iptables -t mangle -F TSNET-USER",
    );
    await project.down();
    await host.sh("conntrack -F 2>/dev/null");
    expect(await host.snapshot()).toBe(before);
  });

  test("is taken off between two networks, and put on again, under the running containers", async () => {
    await using host = await world();
    const project = await Project.create(host, "walls", walls(backend, ", open_to: [back]"));
    await project.raise();
    await inhabit(host);
    const look = async () => [
      await reach(host, "one", "db"),
      await reach(host, "two", "web"),
      await reach(host, "one", "vault"),
      await reach(host, "beyond", "web"),
    ];
    const closed = ["address none, port all", "address none, port all", "address none", "address none, port all"];
    expect(await look()).toEqual(["address all, port all", "address all, port all", ...closed.slice(2)]);
    const processes = (await project.ps()).map(({ pid }) => pid);
    const between = "conntrack -L 2>/dev/null | grep -c 'src=10.88.1.20 dst=10.88.2.10' || true";
    expect(Number(await host.sh(between))).toBeGreaterThan(0);
    await project.write(walls(backend));
    await project.raise();
    expect(await host.sh(between)).toBe("0\n");
    expect(await look()).toEqual(closed);
    expect((await project.ps()).map(({ pid }) => pid)).toEqual(processes);
  });

  test("with isolation: false everybody who finds the way gets in, and the walls of others hold", async () => {
    await using host = await world();
    await host.sh("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    const project = await Project.create(host, "walls", walls(backend, ", isolation: false"));
    await project.raise();
    await inhabit(host);
    expect(await reach(host, "beyond", "web")).toBe("address all, port all");
    expect(await reach(host, "two", "web")).toBe("address all, port all");
    expect(await reach(host, "one", "db")).toBe("address none, port all");
    expect(await reach(host, "three", "web")).toBe("address none, port none");
  });

  test("on a bridge that was there keeps its containers apart, and leaves its other users alone", async () => {
    await using host = await world();
    await host.addNetns("neighbour");
    await host.sh(`
      sysctl -qw net.ipv4.ip_forward=1
      ip link add lan type bridge; ip link set lan up
      ip addr add 10.88.1.1/24 dev lan; ip route add 10.99.0.0/24 dev lan
      ip link add port type veth peer name eth0 netns neighbour; ip link set port master lan up
      ip -n neighbour addr add 10.99.0.2/24 dev eth0; ip -n neighbour link set eth0 up
      ip -n neighbour route add default via 10.88.1.1 dev eth0 onlink; ip -n beyond route add 10.99.0.0/24 via ${HOST[4]}
    `);
    const project = await Project.create(host, "walls", walls(backend, ", bridge: lan"));
    await project.raise();
    await inhabit(host);
    await serve(host, "neighbour", 80, "neighbour");
    expect(await ask(host, "beyond", "tcp", "10.99.0.2", 80)).toBe(`neighbour ${BEYOND[4]}`);
    expect(await reach(host, "beyond", "web")).toBe("address none, port all");
    expect(await reach(host, "two", "web")).toBe("address none, port all");
  });
});

describe("containers with addresses of their own beyond the host", () => {
  test("get answers there, and nobody else in", async () => {
    await using host = await world();
    const project = await Project.create(host, "walls", walls("nftables", ", masquerade: false"));
    await project.raise();
    await inhabit(host);
    expect(await ask(host, "walls.one", "tcp", BEYOND[4], 7000)).toBe("beyond 10.88.1.20");
    expect(await ask(host, "walls.one", "udp", BEYOND[6], 7000)).toBe("beyond fd88:1::20");
    expect(await reach(host, "beyond", "web")).toBe("address none, port all");
  });
});

describe("an internal network", () => {
  const internal = (more: string, container: string) => `
name: walls
networks:
  inner: { subnet: 10.88.3.0/24, internal: true${more} }
  front: { subnet: 10.88.1.0/24 }
containers:
  one: { ${container}, ${SERVER} }
`;

  test("has no way out even to try, and leaves a container of another network its default route", async () => {
    await using host = await world();
    const project = await Project.create(host, "walls", internal("", "networks: [inner]"));
    await project.raise();
    expect(await host.sh("ip -n walls.one route")).toBe(
      "10.88.3.0/24 dev eth0 proto kernel scope link src 10.88.3.2 \n",
    );
    await project.write(internal("", 'networks: [inner, front], ports: ["8080:80"]'));
    await project.raise();
    expect(await host.sh("ip -n walls.one route")).toContain("default via 10.88.1.1 dev eth1");
    await serve(host, "walls.one", 80, "one");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`one ${BEYOND[4]}`);
  });

  test("is not reached through a container that is on another network, too, and that is no router", async () => {
    await using host = await world();
    const command = `command: [sleep, infinity]`;
    const at = (last: number) => `{ inner: { address: 10.88.3.${last} } }`;
    const project = await Project.create(
      host,
      "walls",
      `${internal("", "networks: [front]")}
  vault: { networks: ${at(10)}, ${command} }
  both: { networks: { front: { address: 10.88.1.30 }, inner: { address: 10.88.3.30 } }, ${command} }
`,
    );
    await project.raise();
    await serve(host, "walls.vault", 80, "vault");
    await host.sh(`
      ip -n walls.one route add 10.88.3.0/24 via 10.88.1.30; ip -n walls.vault route add 10.88.1.0/24 via 10.88.3.30
    `);
    const through = () => ask(host, "walls.one", "udp", "10.88.3.10", 80);
    expect(await host.ok(["ip", "netns", "exec", "walls.both", "sysctl", "-n", "net.ipv4.ip_forward"])).toBe("0\n");
    expect(await through()).toBeUndefined();
    await host.ok(["ip", "netns", "exec", "walls.both", "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    expect(await through()).toMatch(/^vault 10\.88\.1\./);
  });

  test("publishes nothing, and says what to do", async () => {
    await using host = await world();
    const before = await host.snapshot();
    const project = await Project.create(host, "walls", internal("", 'networks: [inner], ports: ["8080:80"]'));
    const { exitCode, stderr } = await project.up();
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr:
        "tsnet: container one publishes ports, but nobody gets into walls.inner: put it on a network that is not internal, too\n",
    });
    expect(await host.snapshot()).toBe(before);
  });
});

describe("docs/networks.md", () => {
  const page = readFileSync(`${PROJECT}/docs/networks.md`, "utf8").replace(/^[\s\S]*(?=^## Isolation$)/m, "");
  const [yaml = ""] = blocks("yaml");

  function blocks(language: string): readonly string[] {
    return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, "gm"))].map(([, text = ""]) => text);
  }

  test.each([
    ["nftables", "{ subnet: 10.88.1.0/24, options: { backend: nftables } }", "nft add rule"],
    ["iptables", "{ subnet: 10.88.1.0/24 }", "iptables -t mangle"],
  ])("the file and the rules by %s do what they say", async (_, front, program) => {
    await using host = await world();
    const project = await Project.create(host, "docs", yaml.replace("{ subnet: 10.88.1.0/24 }", front));
    await project.raise();
    const address = async (name: string, at: number) =>
      (await project.ps()).find((row) => row.name === name)?.interfaces[at]?.addresses[0]?.replace(/\/.*/, "") ?? "";
    for (const name of ["web", "app", "db"]) await serve(host, `docs.${name}`, 80, name);
    const [web, app, db] = [await address("web", 0), await address("app", 0), await address("db", 0)];
    expect(await ask(host, "docs.web", "tcp", app, 80)).toMatch(/^app /);
    expect(await ask(host, "docs.app", "tcp", db, 80)).toMatch(/^db /);
    expect(await ask(host, "docs.web", "tcp", db, 80)).toBeUndefined();
    await host.sh(`ip -n beyond route add 10.88.0.0/16 via ${HOST[4]}`);
    expect(await ask(host, "beyond", "tcp", web, 80)).toBeUndefined();
    for (const block of blocks("sh")) if (block.includes(program)) await host.sh(block);
    expect(await ask(host, "beyond", "tcp", web, 80)).toBe(`web ${BEYOND[4]}`);
    expect(await ask(host, "beyond", "tcp", app, 80)).toBeUndefined();
    await serve(host, "", 7000, "host");
    await host.sh("ip -n beyond addr del 192.168.50.2/24 dev up1; ip -n beyond addr add 192.168.50.4/24 dev up1");
    expect(await ask(host, "beyond", "tcp", HOST[4], 7000)).toBe("host 192.168.50.4");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBeUndefined();
  });
});
