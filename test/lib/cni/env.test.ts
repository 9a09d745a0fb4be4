import { describe, expect, it } from "vitest";
import { parseEnv } from "../../../lib/cni/env.ts";

const WHOLE = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "web",
  CNI_NETNS: "/run/netns/web",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin:/usr/lib/cni",
};

describe("the environment of a call", () => {
  it("is read whole", () => {
    expect(parseEnv({ ...WHOLE, CNI_ARGS: "A=B", CNI_NETNS_OVERRIDE: "TRUE" })).toEqual({
      command: "ADD",
      containerId: "web",
      netns: "/run/netns/web",
      ifname: "eth0",
      args: "A=B",
      path: ["/opt/cni/bin", "/usr/lib/cni"],
      netnsOverride: true,
    });
    expect(parseEnv(WHOLE).netnsOverride).toBe(false);
  });

  it.each([
    ["ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"],
    ["GC", "CNI_PATH"],
    ["STATUS", "CNI_PATH"],
  ])("of %s wants %s, and lists what is missing in that order", (command, names) => {
    expect(() => parseEnv({ CNI_COMMAND: command })).toThrow(`required env variables [${names}] missing`);
  });

  it("lists an empty variable as missing", () => {
    expect(() => parseEnv({ CNI_COMMAND: "ADD", CNI_CONTAINERID: "web", CNI_NETNS: "" })).toThrow(
      "required env variables [CNI_NETNS,CNI_IFNAME,CNI_PATH] missing",
    );
  });

  it("of DEL may have no namespace", () => {
    expect(parseEnv({ ...WHOLE, CNI_COMMAND: "DEL", CNI_NETNS: "" }).netns).toBe("");
  });

  it("names a verb that exists", () => {
    expect(() => parseEnv({ ...WHOLE, CNI_COMMAND: "add" })).toThrow("unknown CNI_COMMAND: add");
  });

  it.each(["-x", "a/b", "a b", "..", "ä", "a\n"])("refuses the container id %j", (id) => {
    expect(() => parseEnv({ ...WHOLE, CNI_CONTAINERID: id })).toThrow("invalid characters in containerID");
  });

  it.each([".", "..", "a/b", "a:b", "a b", "a\tb", "sixteen-bytes-xx", "äääääääää"])(
    "refuses the interface name %j",
    (name) => {
      expect(() => parseEnv({ ...WHOLE, CNI_IFNAME: name })).toThrow(
        expect.objectContaining({ code: "environment", message: expect.stringContaining("interface name") }),
      );
    },
  );

  it("takes an interface name of fifteen bytes", () => {
    expect(parseEnv({ ...WHOLE, CNI_IFNAME: "fifteen-bytes-x" }).ifname).toBe("fifteen-bytes-x");
  });

  it("of GC is not judged by names that it does not use", () => {
    expect(parseEnv({ ...WHOLE, CNI_COMMAND: "GC", CNI_CONTAINERID: "-" }).command).toBe("GC");
  });
});
