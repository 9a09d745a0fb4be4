import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { delegate, findPlugin, isThisExecutable } from "../../../lib/cni/delegate.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import type { PluginCall } from "../../../lib/cni/types.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsnet-delegate-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function plugin(name: string, script: string): void {
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, name), 0o755);
}

function callWith(stdin: string): PluginCall {
  return {
    command: "ADD",
    containerId: "web",
    netns: "/run/netns/web",
    ifname: "eth0",
    path: ["/nowhere", directory],
    args: "IgnoreUnknown=1",
    conf: parseNetConf(parseJsonObject(stdin, "it")),
    stdin,
    attachment: { network: "front", containerId: "web", ifname: "eth0" },
  };
}

describe("a plugin that we call", () => {
  it("is the first of its name in CNI_PATH that is a file", () => {
    mkdirSync(join(directory, "one", "ipam"), { recursive: true });
    plugin("ipam", "");
    expect(findPlugin("ipam", ["/nowhere", join(directory, "one"), directory])).toBe(join(directory, "ipam"));
    expect(() => findPlugin("other", ["/nowhere", directory])).toThrow(
      expect.objectContaining({
        code: "not-found",
        message: `failed to find plugin "other" in path [/nowhere ${directory}]`,
      }),
    );
  });

  it.each(["", "..", "../ipam", "/bin/sh"])("cannot be called %j", (type) => {
    expect(() => findPlugin(type, ["/bin"])).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  it("gets the same input and environment, with the verb", async () => {
    plugin("ipam", 'echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS $CNI_PATH"; cat');
    const stdin = '{"name":"front"}';
    const said = await delegate("DEL", "ipam", callWith(stdin));
    expect(said).toBe(`DEL web /run/netns/web eth0 IgnoreUnknown=1 /nowhere:${directory}\n${stdin}`);
  });

  it("passes its error on, number and all", async () => {
    plugin("ipam", `cat >/dev/null; echo '{"code":11,"msg":"no addresses","details":"none"}'; exit 3`);
    await expect(delegate("ADD", "ipam", callWith('{"name":"front"}'))).rejects.toMatchObject({
      code: "plugin",
      cniCode: 11,
      message: "no addresses",
      details: "none",
    });
  });

  it("that fails without a proper error is named, with what it said", async () => {
    plugin("ipam", "cat >/dev/null; echo broken; exit 3");
    await expect(delegate("ADD", "ipam", callWith('{"name":"front"}'))).rejects.toMatchObject({
      code: "plugin",
      cniCode: 999,
      message: "plugin ipam failed with exit code 3: broken",
    });
  });

  it("is this very executable through links of either kind", () => {
    symlinkSync(process.execPath, join(directory, "soft"));
    expect(isThisExecutable(join(directory, "soft"))).toBe(true);
    plugin("ipam", "");
    linkSync(join(directory, "ipam"), join(directory, "hard"));
    expect(isThisExecutable(join(directory, "hard"))).toBe(false);
    expect(isThisExecutable(join(directory, "missing"))).toBe(false);
  });
});
