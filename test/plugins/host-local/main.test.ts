import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import type { CniCommand, PluginCall } from "../../../lib/cni/types.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { plugin } from "../../../plugins/host-local/main.ts";

function call(command: CniCommand, dataDir: string): PluginCall {
  const stdin = JSON.stringify({
    cniVersion: "1.1.0",
    name: "front",
    ipam: { type: "host-local", subnet: "10.1.0.0/30", dataDir },
    "cni.dev/valid-attachments": [],
  });
  const attachment = { network: "front", containerId: "web", ifname: "eth0" };
  const conf = parseNetConf(parseJsonObject(stdin, "it"));
  return { command, containerId: "web", netns: "", ifname: "eth0", path: [], args: "", conf, stdin, attachment };
}

it("hands each verb to lib/ipam", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "tsnet-host-local-"));
  try {
    expect(plugin.name).toBe("host-local");
    const held = () => readdirSync(join(dataDir, "front")).includes("10.1.0.2");
    for (const free of ["DEL", "GC"] as const) {
      expect(await plugin.add(call("ADD", dataDir))).toMatchObject({ ips: [{ address: parseCidr("10.1.0.2/30") }] });
      await plugin.check(call("CHECK", dataDir));
      await expect(plugin.status(call("STATUS", dataDir))).rejects.toMatchObject({ code: "exhausted" });
      expect(held()).toBe(true);
      await (free === "DEL" ? plugin.del(call("DEL", dataDir)) : plugin.gc(call("GC", dataDir)));
      expect(held()).toBe(false);
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
