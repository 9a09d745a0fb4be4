import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type AgentState,
  readAgentState,
  readTrouble,
  removeAgentState,
  writeAgentState,
} from "../../../lib/overlay/state.ts";

const STATE: AgentState = {
  pid: 42,
  started: "4711",
  written: 1_700_000_000_000,
  host: "a",
  source: "/etc/tsnet/overlay.yaml",
  connected: true,
  subnetFile: "/run/flannel/subnet.env",
  networks: ["10.244.0.0/16"],
  subnets: ["10.244.1.0/24"],
  backend: "vxlan",
  vni: 1,
  mtu: 1450,
  devices: [{ name: "tsnet.1", mac: "0a:00:00:00:00:01", address: "10.244.1.0" }],
  peers: [],
  refused: [],
};

let path: string;
beforeEach(() => {
  path = `${mkdtempSync(`${tmpdir()}/state-`)}/overlay/agent.json`;
});
afterEach(() => rmSync(path.replace("/overlay/agent.json", ""), { recursive: true }));

describe("the agent's state", () => {
  it("is read back as it was written", () => {
    const trouble = { code: 51, message: "10.244.1.0/24 is b's now" } as const;
    expect(readAgentState(path)).toBeUndefined();
    writeAgentState(path, { ...STATE, trouble });
    expect(readAgentState(path)).toEqual({ ...STATE, trouble });
    writeAgentState(path, STATE);
    expect(readAgentState(path)).toEqual(STATE);
    expect([removeAgentState(path), removeAgentState(path)]).toEqual([true, false]);
  });

  it("tells trouble apart from a host that is called so", () => {
    expect(readTrouble(path)).toBeUndefined();
    writeAgentState(path, { ...STATE, host: "trouble", refused: [{ key: "b", reason: 'has "trouble": {}' }] });
    expect(readTrouble(path)).toBeUndefined();
    writeAgentState(path, { ...STATE, trouble: { code: 50, message: "no subnet is free" } });
    expect(readTrouble(path)).toEqual({ code: 50, message: "no subnet is free" });
  });

  it("counts for nothing when it is of another boot", () => {
    writeAgentState(path, { ...STATE, trouble: { code: 50, message: "no subnet is free" } });
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    writeFileSync(path, readFileSync(path, "utf8").replace(boot, "00000000-0000-0000-0000-000000000000"));
    expect(readAgentState(path)).toBeUndefined();
    expect(readTrouble(path)).toBeUndefined();
  });

  it.each([
    ["{", "is no JSON"],
    ["[]", "is not what an overlay's agent writes"],
    [JSON.stringify({ ...STATE, pid: "42" }), "is not what an overlay's agent writes"],
    [JSON.stringify({ ...STATE, peers: undefined }), "is not what an overlay's agent writes"],
    [JSON.stringify({ ...STATE, trouble: { code: 52, message: "" } }), "is not what an overlay's agent writes"],
  ])("is refused by name when it is something else: %s", (text, message) => {
    writeAgentState(path, STATE);
    writeFileSync(path, text);
    expect(() => readAgentState(path)).toThrow(`${path} ${message}`);
  });
});
