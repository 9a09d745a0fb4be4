import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hostLines } from "../../cli/overlay-status.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { type AgentPeer, type AgentState, writeAgentState } from "../../lib/overlay/state.ts";
import { lockFile } from "../../lib/sys/files.ts";
import { identify } from "../../lib/sys/process.ts";
import { overlayStatus, type Ping } from "../../overlay/status.ts";

let dir = "";

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "overlay-status-"));
});

afterEach(() => {
  rmSync(dir, { recursive: true });
});

test("where no agent ever ran there is no status", async () => {
  expect(await overlayStatus(dir, nobodyAnswers)).toBeUndefined();
});

test("a state that is of no agent is an error that names the file", async () => {
  writeFileSync(join(dir, "agent.json"), "{}");
  await expect(overlayStatus(dir, nobodyAnswers)).rejects.toThrow(/agent\.json/);
});

test("peers are asked at their address in the network, or beneath it where they have none", async () => {
  write({ peers: [peer("b"), peer("c", { probes: [] }), peer("d", { probes: [], addresses: [] })] });
  const asked: string[] = [];
  const status = await overlayStatus(dir, async (addresses) => {
    asked.push(...addresses.map(formatAddress));
    return new Map([["10.244.2.0", 0.31]]);
  });
  expect(asked).toEqual(["10.244.2.0", "fd00:244:2::", "192.0.2.2"]);
  expect(status?.peers.map(({ answers, reachable }) => ({ answers, reachable }))).toEqual([
    {
      answers: [
        { address: "10.244.2.0", of: "overlay", rtt: 0.31 },
        { address: "fd00:244:2::", of: "overlay", rtt: undefined },
      ],
      reachable: false,
    },
    { answers: [{ address: "192.0.2.2", of: "underlay", rtt: undefined }], reachable: false },
    { answers: [], reachable: undefined },
  ]);
});

test("nobody is asked where that is not wanted", async () => {
  write({ peers: [peer("b")] });
  expect((await overlayStatus(dir, undefined))?.peers).toMatchObject([{ answers: [], reachable: undefined }]);
});

test("ready is an agent that runs and has no trouble", async () => {
  write({});
  expect(await overlayStatus(dir, nobodyAnswers)).toMatchObject({ running: true, ready: true });
  write({ trouble: { code: 51, message: "10.244.1.0/24 is b's" } });
  expect(await overlayStatus(dir, nobodyAnswers)).toMatchObject({ running: true, ready: false });
  // A process of that number started at another time.
  write({ started: "1" });
  expect(await overlayStatus(dir, nobodyAnswers)).toMatchObject({ running: false, ready: false });
});

test("an agent that has another number where it runs, in a container, is known by its lock", async () => {
  write({ pid: 1, started: "1" });
  const lock = lockFile(join(dir, "agent.lock"), 0);
  expect(await overlayStatus(dir, nobodyAnswers)).toMatchObject({ running: true });
  lock.release();
  expect(await overlayStatus(dir, nobodyAnswers)).toMatchObject({ running: false });
});

test("the host is told in a few lines, and what is unknown is left out", async () => {
  write({});
  expect(await lines()).toEqual([
    "Host: a: ready",
    "Source: etcd at http://10.0.0.1:2379",
    "Network: 10.244.0.0/16 by vxlan, VNI 1",
    "Subnet: 10.244.1.0/24",
    "Underlay: eth0 192.0.2.1, MTU 1500",
    "Device: tsnet.1 10.244.1.0 0a:00:00:00:00:01",
    "MTU: 1450 for containers",
  ]);
  write({ trouble: { code: 50, message: "no subnet yet" }, networks: [], subnets: [], devices: [], connected: false });
  expect(await lines()).toEqual([
    "Host: a: not ready (50): no subnet yet",
    "Source: etcd at http://10.0.0.1:2379 (no changes are heard of)",
    "Underlay: eth0 192.0.2.1, MTU 1500",
    "MTU: 1450 for containers",
  ]);
  write({ started: "1" });
  expect((await lines())[0]).toBe("Host: a: the agent does not run; the network stays as it was");
});

const nobodyAnswers: Ping = async () => new Map();

async function lines(): Promise<readonly string[]> {
  const status = await overlayStatus(dir, undefined);
  if (status === undefined) throw new Error("there is no status");
  return hostLines(status).map(([title, text]) => `${title}: ${text}`);
}

function write(state: Partial<AgentState>): void {
  writeAgentState(join(dir, "agent.json"), {
    pid: process.pid,
    started: String(identify(process.pid)?.startTime),
    written: 0,
    host: "a",
    source: "etcd at http://10.0.0.1:2379",
    connected: true,
    subnetFile: "/run/flannel/subnet.env",
    networks: ["10.244.0.0/16"],
    subnets: ["10.244.1.0/24"],
    backend: "vxlan",
    vni: 1,
    mtu: 1450,
    underlay: { name: "eth0", addresses: ["192.0.2.1"], mtu: 1500 },
    devices: [{ name: "tsnet.1", mac: "0a:00:00:00:00:01", address: "10.244.1.0" }],
    peers: [],
    refused: [],
    ...state,
  });
}

function peer(host: string, more: Partial<AgentPeer> = {}): AgentPeer {
  return {
    key: host,
    host,
    subnets: ["10.244.2.0/24", "fd00:244:2::/64"],
    addresses: ["192.0.2.2"],
    macs: ["0a:00:00:00:00:02"],
    way: "vxlan",
    probes: ["10.244.2.0", "fd00:244:2::"],
    ...more,
  };
}
