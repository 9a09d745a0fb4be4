import { describe, expect, it } from "vitest";
import { run } from "../../../lib/sys/run.ts";

const ENV = {
  CNI_CONTAINERID: "web",
  CNI_NETNS: "/nowhere/web",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin",
};
const FILE = new URL("echo-plugin.ts", import.meta.url).pathname;

async function call(command: string, conf: unknown, env: Record<string, string> = {}) {
  const stdin = typeof conf === "string" ? conf : JSON.stringify(conf);
  const result = await run(process.execPath, [FILE], {
    stdin,
    env: { PATH: process.env.PATH, CNI_COMMAND: command, ...ENV, ...env },
    light: true,
  });
  const json: unknown = result.stdout === "" ? undefined : JSON.parse(result.stdout);
  return { ...result, json };
}

const conf = (cniVersion: string, more: object = {}) => ({ cniVersion, name: "front", type: "echo", ...more });
const wasCalled = (stderr: string): unknown => JSON.parse(stderr);

describe("a plugin's process", () => {
  it("answers VERSION with standard input closed", async () => {
    const { exitCode, stdout } = await run("sh", ["-c", '"$0" "$1" <&-', process.execPath, FILE], {
      env: { PATH: process.env.PATH, CNI_COMMAND: "VERSION" },
    });
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      cniVersion: "1.1.0",
      supportedVersions: ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    });
  });

  it("without CNI_COMMAND says what it is on standard error, and succeeds", async () => {
    const { exitCode, stdout, stderr } = await call("", "");
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
    expect(stderr).toContain("CNI echo plugin");
    expect(stderr).toContain("CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n");
  });

  it("prints the result of ADD in the version of the config", async () => {
    const { exitCode, json, stderr } = await call("ADD", conf("0.4.0"), { CNI_ARGS: "anything" });
    expect(exitCode).toBe(0);
    expect(json).toEqual({
      cniVersion: "0.4.0",
      interfaces: [{ name: "eth0" }],
      ips: [{ version: "4", address: "10.1.0.5/24" }],
      dns: {},
    });
    expect(wasCalled(stderr)).toEqual({
      command: "ADD",
      attachment: { network: "front", containerId: "web", ifname: "eth0" },
      netns: "/nowhere/web",
      path: ["/opt/cni/bin"],
      args: "anything",
    });
  });

  it("answers a config without a version in 0.1.0", async () => {
    const { json } = await call("ADD", { name: "front", type: "echo" });
    expect(json).toEqual({ cniVersion: "0.1.0", ip4: { ip: "10.1.0.5/24" }, dns: {} });
  });

  it("prints an error on standard output and fails", async () => {
    const { exitCode, json } = await call("ADD", conf("1.0.0"), { ECHO: "fail" });
    expect(exitCode).toBe(1);
    expect(json).toEqual({ cniVersion: "1.0.0", code: 11, msg: "echo failed", details: "on purpose" });
  });

  it("takes ADD back if its result cannot be written", async () => {
    const { exitCode, json, stderr } = await call("ADD", conf("0.2.0"), { ECHO: "bare" });
    expect(exitCode).toBe(1);
    expect(json).toMatchObject({ cniVersion: "0.2.0", code: 1, msg: "cannot convert: no valid IP addresses" });
    expect(stderr.trim().split("\n").map(wasCalled)).toHaveLength(2);
  });

  it.each(["DEL", "GC", "STATUS"])("prints nothing on standard output for %s", async (command) => {
    const { exitCode, stdout, stderr } = await call(command, conf("1.1.0"));
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
    expect(wasCalled(stderr)).toMatchObject({ command });
  });

  it("succeeds at DEL with no namespace, one that is gone, and no prevResult", async () => {
    expect((await call("DEL", conf("1.0.0"), { CNI_NETNS: "" })).exitCode).toBe(0);
    expect((await call("DEL", conf("1.0.0"))).exitCode).toBe(0);
  });

  it("lists the variables that are missing", async () => {
    const { exitCode, json } = await call("ADD", conf("1.0.0"), { CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" });
    expect(exitCode).toBe(1);
    expect(json).toEqual({
      cniVersion: "1.1.0",
      code: 4,
      msg: "required env variables [CNI_NETNS,CNI_IFNAME,CNI_PATH] missing",
    });
  });

  it("calls nothing with input that does not hold", async () => {
    const cases: readonly (readonly [unknown, Record<string, string>, number, string])[] = [
      [conf("1.0.0"), { CNI_CONTAINERID: "a/b" }, 4, "invalid characters in containerID"],
      [conf("1.0.0"), { CNI_IFNAME: "a/b" }, 4, "interface name contains / or : or whitespace characters"],
      [{ cniVersion: "1.0.0" }, {}, 7, "missing network name"],
      [conf("1.0.0", { name: "a/b" }), {}, 7, "invalid characters found in network name"],
      ["", {}, 6, "cannot read the network config"],
      ["[]", {}, 6, "the network config must be an object"],
      [conf("9.9.9"), {}, 1, "incompatible CNI versions"],
      [{ ...conf("1.0.0"), cniVersion: 1 }, {}, 6, "cniVersion in the network config must be a string"],
      [conf("1.0.0", { prevResult: { ips: [{}] } }), {}, 6, "prevResult.ips[0].address is missing"],
      [conf("1.0.0", { prevResult: { cniVersion: "0.4.0" } }), {}, 6, "prevResult has version 0.4.0"],
    ];
    for (const [config, env, code, msg] of cases) {
      const { exitCode, json, stderr } = await call("ADD", config, env);
      expect({ exitCode, json, stderr }).toEqual({
        exitCode: 1,
        json: expect.objectContaining({ code, msg: expect.stringContaining(msg) }),
        stderr: "",
      });
    }
  });

  it("refuses a namespace that is its own, before it is called, unless told that it is meant", async () => {
    for (const command of ["ADD", "DEL"]) {
      const { exitCode, json, stderr } = await call(command, conf("1.0.0"), { CNI_NETNS: "/proc/self/ns/net" });
      expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "" });
      expect(json).toMatchObject({ code: 8, msg: "plugin's netns and netns from CNI_NETNS should not be the same" });
    }
    for (const value of ["1", "true"]) {
      const env = { CNI_NETNS: "/proc/self/ns/net", CNI_NETNS_OVERRIDE: value };
      expect((await call("ADD", conf("1.0.0"), env)).exitCode).toBe(0);
    }
  });

  it.each([
    ["CHECK", "0.3.1"],
    ["GC", "1.0.0"],
    ["STATUS", "1.0.0"],
  ])("knows no %s in a config of %s", async (command, version) => {
    const { exitCode, json } = await call(command, conf(version));
    expect(exitCode).toBe(1);
    expect(json).toMatchObject({ cniVersion: version, code: 1, msg: `config version does not allow ${command}` });
  });

  it("says which versions it takes if it takes not all", async () => {
    const { json } = await call("ADD", conf("1.0.0"), { ECHO: "old" });
    expect(json).toMatchObject({ code: 1, details: 'config is "1.0.0", plugin supports ["0.3.0" "0.4.0"]' });
  });

  it("wants a prevResult for CHECK, and hands it on", async () => {
    expect((await call("CHECK", conf("1.0.0"))).json).toMatchObject({ code: 7, msg: "required prevResult missing" });
    const { exitCode, stdout, stderr } = await call(
      "CHECK",
      conf("1.0.0", { prevResult: { interfaces: [{ name: "x" }] } }),
    );
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
    expect(wasCalled(stderr)).toMatchObject({ prevResult: { interfaces: [{ name: "x" }] } });
  });

  it("has a number for a standard input that cannot be read", async () => {
    const { stdout, exitCode } = await run("sh", ["-c", '"$0" "$1" </', process.execPath, FILE], {
      env: { PATH: process.env.PATH, CNI_COMMAND: "ADD", ...ENV },
    });
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ code: 5, msg: expect.stringContaining("error reading from stdin") });
  });

  it("does DEL without a prevResult that cannot be read", async () => {
    const { exitCode, stderr } = await call("DEL", conf("1.0.0", { prevResult: { ips: 5 } }));
    expect(exitCode).toBe(0);
    expect(stderr).toContain("ignoring an unreadable prevResult");
  });
});
