import { expect, test } from "vitest";
import { callOf, confDirOf, idOfNetns, netnsPath, pluginDirsOf } from "../../cli/cni-options.ts";

test("the container id is the one that cnitool makes of the namespace's path", () => {
  // `cnitool add` on this path was seen to pass this CNI_CONTAINERID.
  expect(idOfNetns("/var/run/netns/testing")).toBe("cnitool-77383ca0a0715733ca6f");
  expect(callOf("/var/run/netns/testing", {}, {}).containerId).toBe("cnitool-77383ca0a0715733ca6f");
});

test("options come before the environment, and that before the defaults", () => {
  const env = { NETCONFPATH: "/conf", CNI_PATH: "/a:/b", CNI_IFNAME: "net1", CNI_ARGS: "A=1", CAP_ARGS: '{"ips":[]}' };
  const options = { confDir: "/o", pluginDir: "/c", ifname: "net2", args: "B=2;C=3", capabilityArgs: "{}" };
  expect([confDirOf({}, {}), confDirOf({}, env), confDirOf(options, env)]).toEqual(["/etc/cni/net.d", "/conf", "/o"]);
  expect([pluginDirsOf({}, {}), pluginDirsOf({}, env), pluginDirsOf(options, env)]).toEqual([
    ["/opt/cni/bin"],
    ["/a", "/b"],
    ["/c"],
  ]);
  expect(callOf("/n", { containerId: "c" }, {})).toEqual({ containerId: "c", netns: "/n", ifname: "eth0" });
  expect(callOf("/n", {}, env)).toMatchObject({ ifname: "net1", args: [["A", "1"]], capabilityArgs: { ips: [] } });
  expect(callOf("/n", options, env)).toMatchObject({
    ifname: "net2",
    args: [
      ["B", "2"],
      ["C", "3"],
    ],
    capabilityArgs: {},
  });
});

test("a namespace is a path, absolute or not, or a name", () => {
  expect(netnsPath("/proc/1/../1/ns/net")).toBe("/proc/1/ns/net");
  expect(netnsPath("./x")).toBe(`${process.cwd()}/x`);
  expect(netnsPath("package.json")).toBe(`${process.cwd()}/package.json`);
  // Gone by now: what DEL looks for has the id that ADD made of this path.
  expect(netnsPath("no-such-name")).toBe("/run/netns/no-such-name");
  expect(netnsPath("")).toBe("");
});

test.each([
  ["no namespace and no id", undefined, {}, /--container-id/],
  ["a pair without a value", "/n", { args: "A" }, /"A": write KEY=VALUE/],
  ["a closing semicolon", "/n", { args: "A=1;" }, /"": write KEY=VALUE/],
  ["capabilities that are no JSON", "/n", { capabilityArgs: "{" }, /not JSON/],
  ["capabilities that are no object", "/n", { capabilityArgs: "[]" }, /no JSON object/],
])("%s is bad usage, with the way out", (_what, netns, options, message) => {
  const attempt = () => callOf(netns, options, {});
  expect(attempt).toThrow(message);
  expect(attempt).toThrow(expect.objectContaining({ code: "usage" }));
});
