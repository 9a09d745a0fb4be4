/** `tsnet overlay` as people and programs meet it: by flannel's name and variables, its servers, its status, its end. */
import type { Subprocess } from "bun";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Host, TSNET } from "./host.ts";
import { eventually } from "./standalone.ts";

const HOSTS = "/etc/tsnet/overlay.yaml";
/** The peer `two` is made by hand in a namespace of its own, and answers; nobody is `three`. */
const PEER = { mac: "0a:00:00:00:00:02", address: "192.0.2.2", vtep: "10.244.2.0" };
const LIST = `
network: { Network: 10.244.0.0/16, Backend: { Type: vxlan, VNI: 7 } }
hosts:
  - { name: one, address: 192.0.2.1, subnet: 10.244.1.0/24, mac: "0a:00:00:00:00:01" }
  - { name: two, address: ${PEER.address}, subnet: 10.244.2.0/24, mac: "${PEER.mac}" }
  - { name: three, address: 192.0.2.3, subnet: 10.244.3.0/24 }
  - { name: four, address: 192.0.2.4, subnet: 10.99.4.0/24 }
`;
const PORT = 10270;

let host: Host;
let before: string;
let agent: Subprocess<"ignore" | "pipe", "pipe", "pipe">;

beforeAll(async () => {
  host = await Host.create();
  await host.addNetns("two");
  await host.sh(`
    ip link add eth0 type veth peer name eth0 netns two
    ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up && ip route add default via 192.0.2.254
    sysctl -qw net.ipv4.ip_forward=1
    exec ip netns exec two sh -ec '
      ip addr add ${PEER.address}/24 dev eth0 && ip link set eth0 up
      ip link add vxlan7 address ${PEER.mac} type vxlan id 7 dev eth0 local ${PEER.address} dstport 8472 nolearning
      ip addr add ${PEER.vtep}/32 dev vxlan7 && ip link set vxlan7 up
      ip neigh replace 10.244.1.0 lladdr 0a:00:00:00:00:01 dev vxlan7 nud permanent
      bridge fdb append 0a:00:00:00:00:01 dev vxlan7 dst 192.0.2.1
      ip route add 10.244.1.0/24 via 10.244.1.0 dev vxlan7 onlink'`);
  before = await withoutFlows();
  await host.sh(`ln -s ${TSNET} /run/flanneld`);
});

afterAll(() => host.destroy());

describe("before any agent", () => {
  test("status says that none has run, and how to start one", async () => {
    expect(await host.run([TSNET, "overlay", "status"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr:
        "tsnet: no agent has run here since the host's start: nothing in /run/tsnet/overlay; start it with tsnet overlay\n",
    });
  });

  test("by flannel's name it knows flannel's flags, in Go's forms", async () => {
    expect((await host.run(["/run/flanneld", "-version"])).stdout).toMatch(/^tsnet \d/);
    expect(await host.run(["/run/flanneld", "-subnet-lease-renew-margin=1440", "-etcd-prefix", "/x"])).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "tsnet: --subnet-lease-renew-margin=1440: wanted is 1 to 1439, in minutes\n",
    });
  });

  test("who names nobody that tells of hosts, and has no file, is told what there is to name", async () => {
    const { stderr } = await host.run(["timeout", "1", TSNET, "overlay"]);
    expect(stderr.split("\n")[0]).toMatch(
      / WARN nobody tells of hosts: write that file, or give --hosts, --etcd-endpoints or --kube-subnet-mgr file=/,
    );
  });
});

describe("an agent", () => {
  beforeAll(async () => {
    await host.ok(["install", "-D", "/dev/stdin", HOSTS], { stdin: LIST });
    const servers = [`-healthz-ip=127.0.0.1`, `-healthz-port=${PORT}`, `--metrics-bind-address=127.0.0.1:${PORT}`];
    const env = { FLANNELD_IFACE: "eth0", FLANNELD_IFACES: "eth9" };
    agent = host.spawn(["/run/flanneld", "--node-name", "one", ...servers], { env });
    await eventually(async () => (await get("/readyz")).status === "200", "the agent is ready", 10_000);
  });

  test("answers health and metrics", async () => {
    expect(await get("/healthz")).toMatchObject({ status: "200", body: expect.stringContaining('"healthy":true') });
    expect(await get("/readyz")).toEqual({ status: "200", body: '{"ready":true}' });
    const { body } = await get("/metrics");
    expect(body).toContain("\ntsnet_overlay_peers 2\n");
    expect(body).toContain("\ntsnet_overlay_refused_leases 1\n");
    expect(body).toContain("\ntsnet_overlay_ready 1\n");
  });

  test("has a status: this host, who answers and how fast, and who is left out and why", async () => {
    const { exitCode, stdout } = await host.run([TSNET, "overlay", "status"]);
    expect(exitCode).toBe(0);
    const words = stdout.split("\n").map((line) => line.split(/ {2,}/));
    expect(words.slice(0, 7)).toEqual([
      ["Host", "one: ready"],
      ["Source", HOSTS],
      ["Network", "10.244.0.0/16 by vxlan, VNI 7"],
      ["Subnet", "10.244.1.0/24"],
      ["Underlay", "eth0 192.0.2.1, MTU 1500"],
      ["Device", "tsnet.7 10.244.1.0 0a:00:00:00:00:01"],
      ["MTU", "1450 for containers"],
    ]);
    const rows = words.filter(([first]) => ["two", "three", "four"].includes(first ?? ""));
    expect(rows.toSorted()).toEqual([
      ["four", expect.stringContaining("10.99.4.0/24")],
      ["three", "10.244.3.0/24", "192.0.2.3", expect.any(String), "vxlan", "no", "-"],
      ["two", "10.244.2.0/24", PEER.address, PEER.mac, "vxlan", "yes", expect.stringMatching(/^\d+\.\d\d ms$/)],
    ]);
  });

  test("has it as JSON too, with an answer of each peer", async () => {
    const { stdout } = await host.run([TSNET, "overlay", "status", "-o", "json", "--timeout", "500ms"]);
    const status = JSON.parse(stdout);
    expect(status).toMatchObject({ running: true, ready: true, host: "one", vni: 7 });
    expect(status.peers.find((peer: { host: string }) => peer.host === "two")).toMatchObject({
      reachable: true,
      answers: [{ address: PEER.vtep, of: "overlay", rtt: expect.any(Number) }],
    });
  });

  test("is the only one on its host", async () => {
    const { exitCode, stderr } = await host.run([TSNET, "overlay", "--node-name", "one"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^tsnet: an agent of the overlay runs on this host already, process \d+: stop it first$/m);
  });

  test("ends with 1 when the network's config changes, and leaves everything in place", async () => {
    await host.ok(["install", "-D", "/dev/stdin", HOSTS], { stdin: LIST.replace("VNI: 7", "VNI: 7, MTU: 1400") });
    expect(await agent.exited).toBe(1);
    expect(await host.ok(["ip", "route", "show", "10.244.2.0/24"])).toContain("via 10.244.2.0 dev tsnet.7");
    const { exitCode, stdout } = await host.run([TSNET, "overlay", "status"]);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^Host +one: the agent does not run; the network stays as it was$/m);
    expect(stdout).toMatch(/^two .* yes +\d/m);
  });

  test("warned of a variable that is no flag's", async () => {
    expect(await new Response(agent.stderr).text()).toMatch(
      / WARN FLANNELD_IFACES: no flag of flannel's is called so, the nearest is FLANNELD_IFACE$/m,
    );
  });

  test("containers row 8: --cleanup leaves the host as it was, and status knows of none", async () => {
    const { exitCode, stderr } = await host.run([TSNET, "overlay", "--cleanup", "--node-name", "one"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.stringContaining("device=tsnet.7") });
    expect(await withoutFlows()).toBe(before);
    expect((await host.run([TSNET, "overlay", "status"])).exitCode).toBe(1);
    expect((await host.run([TSNET, "overlay", "--cleanup", "--node-name", "one"])).exitCode).toBe(0);
  });
});

async function get(path: string): Promise<{ readonly status: string; readonly body: string }> {
  const { stdout } = await host.run(["curl", "-s", "-w", "\n%{http_code}", `http://127.0.0.1:${PORT}${path}`]);
  const at = stdout.lastIndexOf("\n");
  return { status: stdout.slice(at + 1), body: stdout.slice(0, at) };
}

/** The host's own pings and scrapes are remembered for a while, as anybody's are. */
async function withoutFlows(): Promise<string> {
  return (await host.snapshot()).replace(/^# conntrack\n[^#]*/m, "");
}
