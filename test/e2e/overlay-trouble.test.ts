/** What a host may do to its agent: full disks, spoilt files, sysctls that cannot be written, an agent that is killed. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AgentState } from "../../lib/overlay/state.ts";
import { Daemon } from "../cluster/daemon.ts";
import { PREFIX, startEtcd } from "../overlay/source/etcd.ts";
import { Host, TSNET } from "./host.ts";
import { eventually } from "./standalone.ts";

const HOSTS = "/etc/tsnet/overlay.yaml";
const LOG = "/run/overlay.log";
const NETWORK = { Network: "10.244.0.0/16", Backend: { Type: "vxlan", VNI: 1 } };
const LIST = {
  network: NETWORK,
  hosts: [1, 2, 3].map((n) => ({ name: `h${n}`, address: `192.0.2.${n}`, subnet: `10.244.${n}.0/24` })),
};
const COMMAND = [TSNET, "overlay", "--node-name", "h1"] as const;

let host: Host;
let agent: Daemon;

beforeEach(async () => {
  host = await Host.create();
  await host.sh(`
    ip link add eth0 type veth peer name wire; ip link set wire up
    ip addr add 192.0.2.1/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.2.254
    install -D /dev/stdin ${HOSTS} <<'END'\n${JSON.stringify(LIST)}\nEND`);
});
afterEach(() => host.destroy());

async function start(...flags: readonly string[]): Promise<void> {
  const argv = [...COMMAND, ...flags];
  agent = new Daemon(host, { name: "agent", netns: "", log: LOG, argv, env: { PATH: process.env.PATH ?? "" } });
  await agent.start();
}

/** What the agent that runs tells. */
function state(): AgentState | undefined {
  try {
    const text = readFileSync(`/proc/${host.pid}/root/run/tsnet/overlay/agent.json`, "utf8");
    const told = JSON.parse(text) as AgentState;
    return told.pid === agent.pid ? told : undefined;
  } catch {
    return undefined;
  }
}

const isReady = async () => state() !== undefined && state()?.trouble === undefined;
const ready = () => agent.until(isReady, 10_000);

it("says once what sysctls cannot be written", async () => {
  await host.sh("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys");
  await start("--compare-period", "1s");
  await ready();
  await Bun.sleep(3500);
  const said = (await host.ok(["cat", LOG])).split("\n").filter((line) => line.includes("rp_filter"));
  expect(said).toHaveLength(1);
});

it("tells its state as soon as there is room for it", async () => {
  await host.sh(
    "mkdir /run/tsnet; mount -t tmpfs -o size=4k tmpfs /run/tsnet; head -c 4096 /dev/zero >/run/tsnet/full",
  );
  await start();
  await eventually(async () => (await host.ok(["cat", LOG])).includes("INFO ready"), "the agent is ready", 10_000);
  expect(state()).toBeUndefined();
  await host.sh("mount -o remount,size=4m /run/tsnet");
  await ready();
});

it("writes again what somebody removed, such as whoever cleans up after flannel", async () => {
  await start("--compare-period", "1s");
  await ready();
  await host.sh("rm -r /run/flannel /etc/cni/net.d /run/tsnet/overlay/agent.json");
  const files = ["/run/flannel/subnet.env", "/etc/cni/net.d/10-tsnet.conflist", "/run/tsnet/overlay/agent.json"];
  const there = async () => (await host.run(["cat", ...files])).exitCode === 0;
  await eventually(there, "the files are there again", 3000);
  expect((await host.ok(["cat", LOG])).match(/WARN repaired kind=file/g)).toHaveLength(files.length);
});

it("turns forwarding on again that somebody turned off", async () => {
  await start("--compare-period", "1s");
  await ready();
  await Bun.sleep(1200);
  await host.sh("sysctl -qw net.ipv4.ip_forward=0");
  const forwards = async () => (await host.ok(["sysctl", "-n", "net.ipv4.ip_forward"])).trim() === "1";
  await eventually(forwards, "the host forwards again", 3000);
  const line = "WARN repaired kind=sysctl object=net.ipv4.ip_forward found=different";
  await eventually(async () => (await host.ok(["cat", LOG])).includes(line), "it is told", 1000);
});

it("is the only one, whatever became of the state that names it", async () => {
  await start();
  await ready();
  await host.sh("echo rubbish >/run/tsnet/overlay/agent.json");
  const { exitCode, stderr } = await host.run(COMMAND);
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: "tsnet: an agent of the overlay runs on this host already: stop it first\n",
  });
});

it("gives its lease up at a second --cleanup if etcd was away at the first", async () => {
  const etcd = await startEtcd({ host, tls: false });
  await etcd.put(`${PREFIX}/config`, JSON.stringify(NETWORK));
  await start(...etcd.flags());
  await ready();
  await agent.stop("TERM");
  await etcd.kill();
  const cleanup = [...COMMAND, "--cleanup", ...etcd.flags()];
  expect(await host.run(cleanup)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("cannot remove this host's lease"),
  });
  await etcd.start();
  expect(await etcd.keys(`${PREFIX}/subnets/`)).toHaveLength(1);
  expect((await host.run(cleanup)).exitCode).toBe(0);
  expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([]);
  await etcd.stop();
});

it("gives its lease up at --cleanup where others know it by another address than its own, as behind a NAT", async () => {
  const etcd = await startEtcd({ host, tls: false });
  await etcd.put(`${PREFIX}/config`, JSON.stringify(NETWORK));
  const flags = [...etcd.flags(), "--iface", "eth0", "--public-ip", "203.0.113.9"];
  await start(...flags);
  await ready();
  await agent.stop("TERM");
  expect(await etcd.keys(`${PREFIX}/subnets/`)).toHaveLength(1);
  expect((await host.run([...COMMAND, "--cleanup", ...flags])).exitCode).toBe(0);
  expect(await etcd.keys(`${PREFIX}/subnets/`)).toEqual([]);
  await etcd.stop();
});

describe("killed", () => {
  // More than a start makes of one of them: a bound on the loop, not an expectation.
  const MOST = 60;

  it.each(["sendto", "rename", "link", "flock"])(
    "at any %s of its start, it starts again and all is as it was",
    async (call) => {
      await start();
      await ready();
      const sound = await held();
      await agent.stop("KILL");
      for (let nth = 1; nth < MOST; nth++) {
        await host.run([...COMMAND, "--cleanup"]);
        const killed = await killedAt(call, nth);
        await start();
        await ready();
        expect(await held(), `after it was killed at ${call} number ${nth}`).toBe(sound);
        await agent.stop("KILL");
        if (!killed) return;
      }
    },
    300_000,
  );

  /** Whether the start came to its Nth `call`. */
  async function killedAt(call: string, nth: number): Promise<boolean> {
    const trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`];
    const { exitCode } = await host.run([
      ...["timeout", "-k", "1", "2", ...trace, "-e", `inject=${call}:signal=SIGKILL:when=${nth}`],
      ...COMMAND,
    ]);
    return exitCode !== 124;
  }

  /** All that is kept in the kernel and in files, less what is another with each start. */
  async function held(): Promise<string> {
    const text = await host.sh(`
      ip -o link show tsnet.1; ip -o -4 addr show tsnet.1; ip route; ip neigh show dev tsnet.1 nud permanent | sort
      bridge fdb show dev tsnet.1 | sort; iptables-save; ip6tables-save; nft -s list ruleset
      cat /run/flannel/subnet.env /etc/cni/net.d/*; find /run/tsnet /run/flannel /var/lib/tsnet -type f | sort`);
    return text.replace(/^\d+: /gm, "").replace(/^(#|:).*$/gm, "");
  }
});
