/** Keys of tap that no other test shows: who may open the device, and where its MAC comes from. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { attach, hostLocal, lan } from "./lan.ts";

let host: Host;
beforeAll(async () => {
  host = await lan();
});
afterAll(() => host.destroy());

function conf(more: object): Record<string, unknown> {
  return { cniVersion: "1.1.0", name: "net1", type: "tap", ipam: hostLocal(), ...more };
}

it("owner and group are the numbers that the config says", async () => {
  await attach(host, "tap", conf({ owner: 4321, group: 8765 }), { id: "owned" });
  const shown = await host.ok(["ip", "-n", "owned", "-d", "link", "show", "eth0"]);
  expect(shown).toMatch(/persist on user 4321 group 8765/);
});

it.each([
  ["runtimeConfig.mac", { runtimeConfig: { mac: "02:00:00:00:00:0a" } }, "02:00:00:00:00:0a"],
  ["args.cni.mac", {}, "02:00:00:00:00:0b"],
  ["MAC of CNI_ARGS", { args: {} }, "02:00:00:00:00:0c"],
])("the MAC is that of %s, before those that come after it", async (what, more, mac) => {
  const id = what.replaceAll(/[ _.]/g, "-");
  const all = { mac: "02:00:00:00:00:0d", args: { cni: { mac: "02:00:00:00:00:0b" } }, ...more };
  await attach(host, "tap", conf(all), { id, args: "IgnoreUnknown=1;MAC=02:00:00:00:00:0c" });
  expect(await host.ok(["ip", "-n", id, "link", "show", "eth0"])).toContain(mac);
});
