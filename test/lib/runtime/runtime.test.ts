import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Execution } from "../../../lib/runtime/execute.ts";
import { parseNetworkList } from "../../../lib/runtime/list.ts";
import { lockNetwork } from "../../../lib/runtime/lock.ts";
import { Runtime } from "../../../lib/runtime/runtime.ts";

let directory: string;
let calls: Call[];
/** What a plugin answers to a verb, `bridge ADD`; nothing and success where it is not named. */
let answers: Record<string, { exitCode?: number; stdout?: string | object }>;

interface Call {
  readonly what: string;
  readonly env: Execution["env"];
  readonly conf: Record<string, unknown>;
}

const call = { containerId: "c1", netns: "/run/netns/c1", ifname: "eth0" };
const result = { cniVersion: "1.1.0", ips: [{ address: "10.1.0.2/24" }] };
const attachment = { network: "front", containerId: "c1", ifname: "eth0" };

beforeEach(() => {
  directory = mkdtempSync(`${tmpdir()}/tsnet-runtime-`);
  mkdirSync(`${directory}/bin`);
  for (const type of ["bridge", "portmap"]) writeFileSync(`${directory}/bin/${type}`, "");
  calls = [];
  answers = { "bridge ADD": { stdout: result }, "portmap ADD": { stdout: { ...result, dns: { domain: "x" } } } };
});

afterEach(() => rmSync(directory, { recursive: true }));

function list(more: object = {}, plugins: readonly object[] = [{ type: "bridge" }, { type: "portmap" }]) {
  return parseNetworkList(JSON.stringify({ name: "front", cniVersion: "1.1.0", plugins, ...more }));
}

function runtime(more: { readonly lockTimeoutMs?: number } = {}): Runtime {
  return new Runtime({
    pluginDirs: ["/absent", `${directory}/bin`],
    cacheDir: `${directory}/cache`,
    lockDir: `${directory}/lock`,
    execute: async ({ path, env, stdin }) => {
      const what = `${path.split("/").at(-1)} ${env.CNI_COMMAND}`;
      calls.push({ what, env, conf: JSON.parse(stdin) });
      const { exitCode = 0, stdout = "" } = answers[what] ?? {};
      return { exitCode, stdout: typeof stdout === "string" ? stdout : JSON.stringify(stdout), stderr: "" };
    },
    ...more,
  });
}

test("ADD hands each plugin the result of the one before, and returns the last one's", async () => {
  const added = await runtime().addList(list(), call);
  expect(calls.map(({ what }) => what)).toEqual(["bridge ADD", "portmap ADD"]);
  expect(calls.map(({ conf }) => conf)).toEqual([
    { cniVersion: "1.1.0", name: "front", type: "bridge" },
    { cniVersion: "1.1.0", name: "front", prevResult: result, type: "portmap" },
  ]);
  expect(added).toEqual({ ...result, dns: { domain: "x" } });
});

test("a plugin is told the attachment and the path by its environment", async () => {
  await runtime().addList(list(), {
    ...call,
    args: [
      ["IP", "10.1.0.2"],
      ["K8S_POD_NAME", "web"],
    ],
  });
  expect(calls[0]?.env).toMatchObject({
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/run/netns/c1",
    CNI_IFNAME: "eth0",
    CNI_ARGS: "IP=10.1.0.2;K8S_POD_NAME=web",
    CNI_PATH: `/absent:${directory}/bin`,
    PATH: process.env.PATH,
  });
});

test("containers row 31: a plugin gets the capabilities that it declares, and no other", async () => {
  const portmap = { type: "portmap", capabilities: { portMappings: true, bandwidth: false } };
  const capabilityArgs = { portMappings: [{ hostPort: 80 }], bandwidth: { ingressRate: 1 }, ips: ["10.1.0.2"] };
  await runtime().addList(list({}, [{ type: "bridge" }, portmap]), { ...call, capabilityArgs });
  expect(calls[0]?.conf).not.toHaveProperty("runtimeConfig");
  expect(calls[1]?.conf).toMatchObject({ runtimeConfig: { portMappings: [{ hostPort: 80 }] } });
});

test("what the runtime puts into a config replaces a key that the config wrote in another case", async () => {
  await runtime().addList(list({}, [{ type: "bridge", CNIVersion: "0.1.0", Name: "other", MTU: 9000 }]), call);
  expect(calls[0]?.conf).toEqual({ cniVersion: "1.1.0", name: "front", type: "bridge", MTU: 9000 });
});

test("a result without a version has the list's", async () => {
  answers["bridge ADD"] = { stdout: { ips: [] } };
  expect(await runtime().addList(list({}, [{ type: "bridge" }]), call)).toEqual({ cniVersion: "1.1.0", ips: [] });
});

test("a missing plugin fails ADD before any is called", async () => {
  const wanted = list({}, [{ type: "bridge" }, { type: "absent" }]);
  await expect(runtime().addList(wanted, call)).rejects.toMatchObject({ code: "not-found" });
  expect(calls).toEqual([]);
});

test("an ADD that fails carries the plugin's code, caches nothing and leaves DEL to its caller", async () => {
  answers["portmap ADD"] = { exitCode: 1, stdout: { code: 11, msg: "port 80 is taken", details: "by web" } };
  await expect(runtime().addList(list(), call)).rejects.toMatchObject({
    message: 'portmap ADD on network "front": port 80 is taken',
    code: "plugin",
    cniCode: 11,
    details: "by web",
  });
  expect(calls.map(({ what }) => what)).toEqual(["bridge ADD", "portmap ADD"]);
  expect(runtime().attachments()).toEqual([]);
});

test("a failure that is no CNI error is told in the plugin's own words", async () => {
  answers["bridge ADD"] = { exitCode: 2, stdout: "panic: oh" };
  await expect(runtime().addList(list(), call)).rejects.toThrow(
    'bridge ADD on network "front": exit code 2: panic: oh',
  );
});

test.each([
  ["a container id", { containerId: "../x" }, /containerID/],
  ["no container id", { containerId: "" }, /containerID/],
  ["an interface name", { ifname: "a/b" }, /interface name/],
])("%s that cannot be is refused before a plugin is called", async (_what, wrong, message) => {
  for (const verb of ["addList", "delList", "checkList"] as const) {
    await expect(runtime()[verb](list(), { ...call, ...wrong })).rejects.toThrow(message);
  }
  expect(calls).toEqual([]);
});

test("DEL goes backwards with the cached result and ADD's arguments, and forgets the attachment", async () => {
  const portmap = { type: "portmap", capabilities: { portMappings: true } };
  const wanted = list({}, [{ type: "bridge" }, portmap]);
  await runtime().addList(wanted, { ...call, args: [["A", "b"]], capabilityArgs: { portMappings: [1] } });
  calls = [];
  await runtime().delList(wanted, { ...call, netns: "" });
  expect(calls.map(({ what }) => what)).toEqual(["portmap DEL", "bridge DEL"]);
  expect(calls[0]?.conf).toMatchObject({ prevResult: { dns: { domain: "x" } }, runtimeConfig: { portMappings: [1] } });
  expect(calls[0]?.env).toMatchObject({ CNI_NETNS: "", CNI_ARGS: "A=b" });
  expect(runtime().attachments()).toEqual([]);
});

test("DEL of what was never added calls the plugins without a result, as often as one likes", async () => {
  await runtime().delList(list(), call);
  await runtime().delList(list(), call);
  expect(calls.map(({ what }) => what)).toEqual(["portmap DEL", "bridge DEL", "portmap DEL", "bridge DEL"]);
  expect(calls[0]?.conf).not.toHaveProperty("prevResult");
});

test("DEL below 0.4.0 hands on no result", async () => {
  const old = list({ cniVersion: "0.3.1" });
  answers["bridge ADD"] = answers["portmap ADD"] = { stdout: { ips: [{ version: "4", address: "10.1.0.2/24" }] } };
  await runtime().addList(old, call);
  await runtime().delList(old, call);
  expect(calls.at(-1)?.conf).not.toHaveProperty("prevResult");
});

test("a DEL that fails keeps the cached result for the next try", async () => {
  await runtime().addList(list(), call);
  answers["bridge DEL"] = { exitCode: 1, stdout: { code: 11, msg: "busy" } };
  await expect(runtime().delList(list(), call)).rejects.toMatchObject({ cniCode: 11 });
  expect(runtime().attachments()).toHaveLength(1);
});

test("the cached result is converted where the list's version was edited since", async () => {
  await runtime().addList(list(), call);
  await runtime().delList(list({ cniVersion: "0.4.0" }), call);
  expect(calls.at(-1)?.conf).toMatchObject({
    prevResult: { cniVersion: "0.4.0", ips: [{ version: "4", address: "10.1.0.2/24" }] },
  });
});

test("a cached result that cannot be read does not stop DEL", async () => {
  await runtime().addList(list(), call);
  writeFileSync(`${directory}/cache/results/front-c1-eth0`, "{");
  await runtime().delList(list(), call);
  expect(calls.at(-1)?.what).toBe("bridge DEL");
  expect(runtime().attachments()).toEqual([]);
});

test("CHECK hands every plugin the final result", async () => {
  await runtime().addList(list(), call);
  calls = [];
  await runtime().checkList(list(), call);
  expect(calls.map(({ what }) => what)).toEqual(["bridge CHECK", "portmap CHECK"]);
  expect(calls[0]?.conf).toMatchObject({ prevResult: { dns: { domain: "x" } } });
});

test("CHECK needs an ADD before it, and version 0.4.0", async () => {
  await expect(runtime().checkList(list(), call)).rejects.toMatchObject({ code: "not-found" });
  const old = list({ cniVersion: "0.3.1" });
  await expect(runtime().checkList(old, call)).rejects.toMatchObject({ code: "incompatible-version" });
});

test("containers row 31: disableCheck and disableGC call no plugin", async () => {
  await runtime().addList(list(), call);
  calls = [];
  await runtime().checkList(list({ disableCheck: true }), call);
  expect(await runtime().gcList(list({ disableGC: true }), [])).toEqual([]);
  expect(calls).toEqual([]);
  expect(runtime().attachments()).toHaveLength(1);
});

test("containers row 31: GC deletes stale cached attachments of its network, then tells the plugins who is left", async () => {
  const other = parseNetworkList(JSON.stringify({ name: "back", cniVersion: "1.1.0", plugins: [{ type: "bridge" }] }));
  await runtime().addList(list(), call);
  await runtime().addList(list(), { ...call, containerId: "c2" });
  await runtime().addList(other, call);
  calls = [];
  const deleted = await runtime().gcList(list(), [{ containerID: "c1", ifname: "eth0" }]);
  expect(deleted).toMatchObject([{ ...attachment, containerId: "c2" }]);
  expect(calls.map(({ what, env }) => `${what} ${env.CNI_CONTAINERID}`)).toEqual([
    "portmap DEL c2",
    "bridge DEL c2",
    "bridge GC ",
    "portmap GC ",
  ]);
  expect(calls.at(-1)?.conf).toMatchObject({
    "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
    "cni.dev/attachments": [{ containerID: "c1", ifname: "eth0" }],
  });
  expect(
    runtime()
      .attachments()
      .map(({ network, containerId }) => `${network} ${containerId}`),
  ).toEqual(["back c1", "front c1"]);
});

test("GC goes on past failures and reports them all", async () => {
  await runtime().addList(list(), call);
  answers["portmap DEL"] = { exitCode: 1, stdout: { code: 999, msg: "first" } };
  answers["bridge GC"] = { exitCode: 1, stdout: { code: 999, msg: "second" } };
  await expect(runtime().gcList(list(), [])).rejects.toThrow(/first.*second/);
  expect(calls.at(-1)?.what).toBe("portmap GC");
});

test("below 1.1.0 GC deletes from the cache alone, and STATUS asks nobody", async () => {
  const old = list({ cniVersion: "1.0.0" });
  answers["bridge ADD"] = answers["portmap ADD"] = { stdout: { ...result, cniVersion: "1.0.0" } };
  await runtime().addList(old, call);
  calls = [];
  await runtime().gcList(old, []);
  expect(await runtime().statusList(old)).toBe(false);
  expect(calls.map(({ what }) => what)).toEqual(["portmap DEL", "bridge DEL"]);
});

test("STATUS throws what the first plugin says that is not ready", async () => {
  expect(await runtime().statusList(list())).toBe(true);
  expect(calls.map(({ what }) => what)).toEqual(["bridge STATUS", "portmap STATUS"]);
  answers["bridge STATUS"] = { exitCode: 1, stdout: { code: 50, msg: "no addresses left" } };
  await expect(runtime().statusList(list())).rejects.toMatchObject({ cniCode: 50 });
});

test("STATUS says that a plugin is missing, whatever the version", async () => {
  const wanted = list({ cniVersion: "0.4.0" }, [{ type: "absent" }]);
  await expect(runtime().statusList(wanted)).rejects.toMatchObject({ code: "not-found" });
});

test("containers row 31: GC waits for running ADDs, and an ADD for a running GC", async () => {
  const held = await lockNetwork(`${directory}/lock`, "front", { kind: "shared", timeoutMs: 0 });
  await runtime().addList(list(), call);
  await expect(runtime({ lockTimeoutMs: 0 }).gcList(list(), [])).rejects.toMatchObject({ code: "busy" });
  const waiting = runtime().gcList(list(), []);
  held.release();
  expect(await waiting).toHaveLength(1);
  const gc = await lockNetwork(`${directory}/lock`, "front", { kind: "exclusive", timeoutMs: 0 });
  await expect(runtime({ lockTimeoutMs: 0 }).addList(list(), call)).rejects.toMatchObject({ code: "busy" });
  await expect(runtime({ lockTimeoutMs: 0 }).delList(list(), call)).rejects.toMatchObject({ code: "busy" });
  gc.release();
  await runtime({ lockTimeoutMs: 0 }).addList(list(), call);
});
