import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parseFlags } from "../../../plugins/dhcp/daemon/flags.ts";
import { DEFAULT_SOCKET } from "../../../plugins/dhcp/place.ts";

const valueIn = (unit: string, key: string) =>
  new RegExp(`^${key}=(.*)$`, "m").exec(readFileSync(`examples/systemd/${unit}`, "utf8"))?.[1];

it("the units meet the plugin at its socket", () => {
  expect(valueIn("tsnet-dhcp.socket", "ListenStream")).toBe(DEFAULT_SOCKET);
  expect(valueIn("tsnet-dhcp.service", "Requires")).toBe("tsnet-dhcp.socket");
  const [program, verb, ...flags] = (valueIn("tsnet-dhcp.service", "ExecStart") ?? "").split(" ");
  expect([program, verb]).toEqual(["/opt/cni/bin/dhcp", "daemon"]);
  expect(parseFlags(flags)?.socket).toBe(DEFAULT_SOCKET);
});
