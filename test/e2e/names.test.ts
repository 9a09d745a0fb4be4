/** Names of containers, asked for with real packets and by the C library, on a throwaway host. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RESOLVING_SOCKETS } from "../../standalone/container/root.ts";
import { crowd, resolve, serveNames } from "./dns.ts";
import { Host, PROJECT, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { eventually, inside, Project, tryInside } from "./standalone.ts";

const HELLO = `
name: hello
networks:
  front: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64" }
  back: { subnet: 10.88.2.0/24, internal: true }
containers:
  web:
    networks: { front: { address: [10.88.1.20, "fd88:1::20"], aliases: [www] } }
    command: [sleep, infinity]
  api1: { networks: { front: { address: 10.88.1.31, aliases: [api] }, back: }, command: [sleep, infinity] }
  api2: { networks: { front: { address: 10.88.1.32, aliases: [api] } }, command: [sleep, infinity] }
  db: { networks: { back: { address: 10.88.2.40 } }, hostname: postgres.example, command: [sleep, infinity] }
  guest: { network: "container:web", command: [sleep, infinity] }
  own:
    networks: [front]
    dns: [10.88.1.20]
    dns_search: [corp.example]
    extra_hosts: ["nas:192.0.2.9", "gate:host-gateway"]
    command: [sleep, infinity]
`;

const STUB = "127.0.0.53";

/** A host whose only resolver is a stub on its loopback, as systemd-resolved makes it. */
async function stubHost(): Promise<Host> {
  const host = await Host.create();
  await host.sh(`rm -f /etc/resolv.conf; printf 'nameserver ${STUB}\\nsearch lan.example\\n' >/etc/resolv.conf`);
  return host;
}

describe("the names of a project's containers", () => {
  let host: Host;
  let hello: Project;

  beforeAll(async () => {
    host = await stubHost();
    await serveNames(host, "", STUB, 53);
    hello = await Project.create(host, "hello", HELLO);
    await hello.raise();
  });
  afterAll(() => host.destroy());

  const from = (container: string, name: string, type: string, more = {}) =>
    resolve(host, `hello.${container}`, name, type, more);

  test("are A, AAAA and PTR, by UDP and TCP", async () => {
    for (const by of ["udp", "tcp"] as const) {
      expect(await from("api1", "web", "A", { by })).toMatchObject({ rcode: 0, flag_aa: true, data: ["10.88.1.20"] });
      expect(await from("api1", "www.front", "AAAA", { by })).toMatchObject({ rcode: 0, data: ["fd88:1::20"] });
      expect(await from("api1", "20.1.88.10.in-addr.arpa", "PTR", { by })).toMatchObject({ data: ["web.front"] });
    }
    expect(await from("api1", "postgres.example", "A")).toMatchObject({ data: ["10.88.2.40"] });
    expect(await from("api1", "web", "A", { edns: 4096 })).toMatchObject({ data: ["10.88.1.20"], edns: 1232 });
  });

  test("containers row 23: one without an IPv6 address has no AAAA, and is there", async () => {
    expect(await from("api1", "db", "AAAA")).toMatchObject({ rcode: 0, data: [] });
  });

  test("are known on the networks that both are on, and nowhere else", async () => {
    expect(await from("web", "db", "A")).not.toMatchObject({ data: ["10.88.2.40"] });
    expect(await from("db", "web", "A")).toMatchObject({ rcode: 3, data: [] });
    expect((await from("db", "api1", "A"))?.data).toHaveLength(1);
  });

  test("that several share are given in turn", async () => {
    const first = [];
    const sync = ["curl", "-s", "-X", "POST", "--unix-socket", "/run/tsnet/helper.sock", "http://local/sync"];
    for (let round = 0; round < 4; round++) {
      first.push((await from("web", "api", "A"))?.data[0]);
      // Also while others come and go.
      await host.ok(sync);
    }
    expect(first).toEqual([first[0], first[1], first[0], first[1]]);
    expect(new Set(first)).toEqual(new Set(["10.88.1.31", "10.88.1.32"]));
  });

  test("are found by the C library and by busybox with nothing to set", async () => {
    expect(await inside(host, "api1", "getent", "ahosts", "www")).toContain("10.88.1.20");
    expect(await inside(host, "guest", "getent", "ahostsv4", "api2")).toMatch(/^10\.88\.1\.32 +STREAM/);
    expect(await inside(host, "api1", "getent", "hosts", "10.88.1.20")).toMatch(/ web\.front/);
    expect(await inside(host, "web", "busybox", "nslookup", "api2.front")).toContain("10.88.1.32");
    expect((await tryInside(host, "web", "busybox", "ping", "-c1", "-W2", "api2")).exitCode).toBe(0);
  });

  test("all else is asked of the host's resolver, though it is a stub on the host's loopback", async () => {
    for (const by of ["udp", "tcp"] as const) {
      expect(await from("web", "example.com", "A", { by })).toMatchObject({ rcode: 0, data: ["192.0.2.53"] });
      expect(await from("web", "none.example.com", "A", { by })).toMatchObject({ rcode: 3 });
    }
    expect(await from("web", "big.example.com", "TXT")).toMatchObject({ flag_tc: true });
    expect((await from("web", "big.example.com", "TXT", { by: "tcp" }))?.data).toHaveLength(10);
    expect(await inside(host, "web", "getent", "ahostsv4", "example.com")).toContain("192.0.2.53");
  });

  test("a container of an internal network asks nobody outside", async () => {
    expect(await from("db", "example.com", "A")).toMatchObject({ rcode: 3, data: [] });
  });

  test("containers row 22: files of its own, and resolvers of its choice", async () => {
    expect(await inside(host, "web", "cat", "/etc/resolv.conf")).toBe(
      "nameserver 127.0.0.11\nsearch lan.example\noptions ndots:0\n",
    );
    expect(await inside(host, "own", "cat", "/etc/resolv.conf")).toBe(
      "nameserver 127.0.0.11\nsearch corp.example\noptions ndots:0\n",
    );
    expect(await inside(host, "own", "cat", "/etc/hosts")).toContain("\n192.0.2.9 nas\n10.88.1.1 gate\n");
    const chosen = await serveNames(host, "hello.web", "10.88.1.20", 20);
    expect(await from("own", "example.com", "A")).toMatchObject({ data: ["192.0.2.20"] });
    expect(await from("own", "api2", "A")).toMatchObject({ data: ["10.88.1.32"] });
    expect(chosen.asked()).toEqual(["udp example.com A"]);
    await chosen.kill();
  });

  test("a DNS server of the container's own has port 53, on every address", async () => {
    const own = await serveNames(host, "hello.api2", "0.0.0.0", 99);
    expect(await from("web", "example.com", "A", { server: "10.88.1.32" })).toMatchObject({ data: ["192.0.2.99"] });
    expect(await from("api2", "example.com", "A", { server: "127.0.0.1" })).toMatchObject({ data: ["192.0.2.99"] });
    expect(await from("api2", "web", "A")).toMatchObject({ data: ["10.88.1.20"] });
    await own.kill();
  });

  test("no port of the host is taken", async () => {
    const listening = await host.sh("cat /proc/net/udp /proc/net/tcp | awk '{ print $2 }' | grep -i ':0035$' || true");
    // The stub's, and nothing else.
    expect(listening.trim().split("\n")).toEqual(["3500007F:0035", "3500007F:0035"]);
    expect(await ask(host, "", "tcp", "127.0.0.11", 53)).toBeUndefined();
  });

  test("a container that joins, moves or leaves is known when up returns", async () => {
    const moved = HELLO.replace("address: 10.88.1.32", "address: 10.88.1.77").replace(/ {2}own:[\s\S]*$/, "");
    await hello.write(`${moved}  new: { networks: [front], command: [sleep, infinity] }\n`);
    await hello.raise();
    expect((await from("web", "new", "A"))?.data).toHaveLength(1);
    expect(await from("web", "api2", "A")).toMatchObject({ data: ["10.88.1.77"] });
    expect(await from("web", "own", "A")).not.toMatchObject({ flag_aa: true });
  });

  test("a container that opens connections without end is in its own way alone", async () => {
    const { open, kill } = await crowd(host, "hello.web", 200);
    expect(open).toBe(64);
    expect(await from("web", "api1", "A", { by: "tcp" })).toBeUndefined();
    expect(await from("web", "api1", "A")).toMatchObject({ rcode: 0 });
    expect(await from("api1", "web", "A", { by: "tcp" })).toMatchObject({ rcode: 0 });
    await kill();
    await eventually(async () => (await from("web", "api1", "A", { by: "tcp" }))?.rcode === 0, "TCP again");
  });

  test("rules that somebody flushed inside a container are put back", async () => {
    await host.ok(["ip", "netns", "exec", "hello.web", "nft", "flush", "ruleset"]);
    const rules = () => host.ok(["ip", "netns", "exec", "hello.web", "nft", "list", "ruleset"]);
    await eventually(async () => (await rules()).includes("dnat to 127.0.0.11"), "rules after a flush", 2000);
    expect(await from("web", "api1", "A")).toMatchObject({ rcode: 0 });
  });

  test("containers keep running when the resolver is killed, and it is back within a second", async () => {
    await serve(host, "hello.web", 80, "web");
    const pid = await host.sh("cat /run/tsnet/helper.pid 2>/dev/null || pgrep -xo tsnet-helper");
    await host.ok(["kill", "-9", pid.trim()]);
    expect(await ask(host, "hello.api1", "tcp", "10.88.1.20", 80)).toMatch(/^web /);
    await eventually(async () => (await from("api1", "web", "A"))?.rcode === 0, "names after a kill", 1000);
  });
});

describe("names and what comes and goes", () => {
  let host: Host;
  let hello: Project;

  beforeAll(async () => {
    host = await stubHost();
    // In place of sockets: what counts is what stands there inside.
    for (const path of RESOLVING_SOCKETS) await host.sh(`mkdir -p "$(dirname ${path})"; touch ${path}`);
    hello = await Project.create(
      host,
      "hello",
      `
name: hello
networks: { front: { subnet: 10.88.1.0/24 }, side: { subnet: 10.88.3.0/24 } }
containers:
  web: { networks: { front: { address: 10.88.1.20 } }, command: [sleep, infinity] }
  far: { networks: { side: { address: 10.88.3.30 } }, command: [sleep, infinity] }
  mighty: { networks: [front], privileged: true, command: [sleep, infinity] }
  eager: { networks: [front], command: [sh, -c, "getent ahostsv4 web; sleep infinity"] }
`,
    );
    await hello.raise();
  });
  afterAll(() => host.destroy());

  test("containers row 22: a privileged one does not see what would answer past its resolv.conf", async () => {
    for (const path of RESOLVING_SOCKETS) {
      await host.ok(["test", "-f", path]);
      await inside(host, "mighty", "test", "-c", path);
    }
    expect(await inside(host, "mighty", "getent", "ahostsv4", "web")).toContain("10.88.1.20");
  });

  const tsnet = (...args: readonly string[]) => host.ok([TSNET, ...args]);

  test("are there before the first instruction of a command", async () => {
    await eventually(async () => (await tsnet("logs", "eager")) !== "", "a line of eager");
    expect(await tsnet("logs", "eager")).toContain("10.88.1.20");
  });

  test("a container that is connected and disconnected by command is known at once, and knows itself", async () => {
    await tsnet("network", "connect", "--alias", "backup", "hello.front", "far");
    const joined = await resolve(host, "hello.web", "backup", "A");
    expect(joined?.data).toHaveLength(1);
    expect(await inside(host, "far", "cat", "/etc/hosts")).toContain(`\n${joined?.data[0]} far\n`);
    expect(await resolve(host, "hello.far", "web", "A")).toMatchObject({ data: ["10.88.1.20"] });
    await tsnet("network", "disconnect", "hello.front", "far");
    expect(await resolve(host, "hello.web", "backup", "A")).not.toMatchObject({ flag_aa: true });
    expect(await inside(host, "far", "cat", "/etc/hosts")).not.toContain(joined?.data[0] ?? "");
  });

  test("containers row 24: a foreign namespace asks and is found, and is left as it was", async () => {
    await host.addNetns("guest");
    const rules = () => host.ok(["ip", "netns", "exec", "guest", "nft", "list", "ruleset"]);
    const said = await tsnet("network", "connect", "--netns", "guest", "hello.front", "vm");
    expect(said).toContain("127.0.0.11");
    expect(await resolve(host, "guest", "web", "A")).toMatchObject({ data: ["10.88.1.20"] });
    expect((await resolve(host, "hello.web", "vm", "A"))?.data).toHaveLength(1);
    expect(await rules()).toBe(`table ip tsnet-names {
	comment "names are answered at port 61053 by tsnet"
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:61053
		ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:61053
	}
}
`);
    await tsnet("network", "disconnect", "--netns", "guest", "hello.front");
    await eventually(async () => (await rules()) === "", "no rules of ours in the foreign namespace");
    expect(await resolve(host, "guest", "web", "A")).toBeUndefined();
  });

  test("containers row 21: no socket of ours keeps a namespace that is gone", async () => {
    await host.addNetns("brief");
    await host.sh("ip link add keep0 type veth peer name keep1 netns brief");
    await tsnet("network", "connect", "--netns", "brief", "hello.front");
    await host.ok(["ip", "netns", "del", "brief"]);
    // A veth's other end goes with the last who holds the namespace.
    await eventually(async () => (await host.run(["ip", "link", "show", "keep0"])).exitCode !== 0, "its end", 1500);
  });

  test("the host's resolvers may change, and the first may be dead", async () => {
    await serveNames(host, "", "127.0.0.54", 54);
    await host.sh("printf 'nameserver 127.0.0.99\\nnameserver 127.0.0.54\\n' >/etc/resolv.conf");
    const look = async () => (await resolve(host, "hello.web", "example.com", "A"))?.data[0] === "192.0.2.54";
    await eventually(look, "an answer of the new resolver", 2000);
    await host.sh("iptables -I INPUT -d 127.0.0.99 -j DROP");
    expect(await look()).toBe(true);
    await host.sh("iptables -D INPUT -d 127.0.0.99 -j DROP");
  });

  test("with no resolver at all the answer is SERVFAIL, at once", async () => {
    await host.sh("printf 'nameserver 127.0.0.98\\n' >/etc/resolv.conf");
    const began = performance.now();
    await eventually(
      async () => (await resolve(host, "hello.web", "a.example.com", "A"))?.rcode === 2,
      "SERVFAIL",
      1500,
    );
    expect(performance.now() - began).toBeLessThan(1500);
  });
});

test("docs/names.md: its example does what it says", async () => {
  await using host = await stubHost();
  const page = await Bun.file(`${PROJECT}/docs/names.md`).text();
  const block = (language: string) => new RegExp(`\`\`\`${language}\\n([^\`]*)\`\`\``).exec(page)?.[1] ?? "";
  const shop = await Project.create(host, "shop", block("yaml"));
  for (const step of block("console")
    .split(/^\$ tsnet /m)
    .slice(1)) {
    const [command = "", ...lines] = step.trimEnd().split("\n");
    const said = await host.sh(`cd ${shop.folder}; ${TSNET} ${command}`);
    for (const line of lines) expect(said.split("\n").map((one) => one.trimEnd())).toContain(line.trimEnd());
  }
});
