/** The list of examples/cni as a runtime runs it, and a list of plugins that is converted under a running container. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Host, PLUGINS, PROJECT, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { BEYOND, HOST, world } from "./world.ts";

const CONF_DIR = "/etc/cni/net.d";
const ENV = { NETCONFPATH: CONF_DIR, CNI_PATH: PLUGINS };

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

async function tsnet(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  return await host.ok([TSNET, ...argv], { env: { ...ENV, ...env } });
}

const CAP_ARGS = JSON.stringify({
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000 },
});

it("examples/cni/10-chain.conflist gives a container its address, a published port, a rate and its settings", async () => {
  await host.ok(["install", "-D", `${PROJECT}/examples/cni/10-chain.conflist`, `${CONF_DIR}/10-chain.conflist`]);
  await host.addNetns("web");
  const before = await host.snapshot();
  expect(await tsnet(["cni", "add", "front", "web"], { CAP_ARGS })).toContain("10.87.0.2/16");
  await serve(host, "web", 80, "web");
  expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
  expect(await host.sh("tc qdisc show | grep tbf")).toContain("rate 8Mbit");
  expect((await host.inNetns("web", ["sysctl", "-n", "net.core.somaxconn"])).stdout).toBe("512\n");
  await tsnet(["cni", "check", "front", "web"]);
  await tsnet(["cni", "status", "front"]);
  await tsnet(["cni", "del", "front", "web"]);
  await host.sh("ip link del front0");
  expect(await host.snapshot()).toBe(before.replaceAll(/^.*front0.*\n/gm, ""));
});

it("a list that is converted under a running container goes on serving it, up to its DEL", async () => {
  const file = `${CONF_DIR}/10-front.conflist`;
  const plugins = [
    {
      type: "bridge",
      bridge: "front0",
      isGateway: true,
      ipMasq: true,
      ipam: { type: "host-local", subnet: "10.87.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
    },
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "firewall" },
    { type: "tuning", mtu: 1400 },
  ];
  const list = JSON.stringify({ cniVersion: "1.1.0", name: "front", plugins });
  await host.ok(["install", "-D", "/dev/stdin", file], { stdin: list });
  await host.addNetns("web");
  const before = await host.snapshot();
  await tsnet(["cni", "add", "front", "web"], { CAP_ARGS });
  await tsnet(["convert", file, "-w"]);
  await tsnet(["cni", "check", "front", "web"]);
  await tsnet(["cni", "del", "front", "web"]);
  await host.sh("ip link del front0");
  expect(await host.snapshot()).toBe(before);
});
