/**
 * Our flags and configuration against the real kube-proxy's: which there are, their defaults, and each one's file read by
 * the other.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type ProxyFlags, settingsFrom } from "../../proxy/config/flags.ts";
import { FLAGS } from "../../proxy/config/names.ts";
import { configText } from "../../proxy/config/write.ts";
import { kubernetesPrograms } from "./kubernetes.ts";

let folder: string;
let program: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tsnet-config-"));
  program = (await kubernetesPrograms()).proxy;
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test("every flag of the real one is ours, too, and no other but those that we say are ours alone", async () => {
  const { stdout } = await real("--help");
  const theirs = [...stdout.matchAll(/^ +(?:-\w, )?--([\w-]+)/gm)].map(([, name = ""]) => name).filter(isNoHelp);
  const ours = Object.entries(FLAGS).flatMap(([name, flag]) => (flag.ours === true ? [] : [name]));

  // Deprecated flags are in no help.
  expect([...theirs, "healthz-port", "metrics-port"].sort()).toEqual(ours.sort());
});

describe("a configuration", () => {
  test("of defaults is the real one's, but for the mode, which the host decides here, and a liberal conntrack", async () => {
    const theirs = await written();

    expect(theirs).toMatchObject({ mode: "iptables", conntrack: { tcpBeLiberal: false } });
    expect(parse(configText(settle({})))).toEqual({
      ...theirs,
      mode: "",
      conntrack: { ...theirs.conntrack, tcpBeLiberal: true },
    });
  });

  test.each<ProxyFlags>([
    { "proxy-mode": ["nftables"], "masquerade-all": ["true"] },
    { "proxy-mode": ["iptables"], "iptables-masquerade-bit": ["3"], "cluster-cidr": ["10.0.0.0/8,fd00::/8"] },
    { "nodeport-addresses": ["10.0.0.0/8", "fd00::/8"], "proxy-mode": ["iptables"], v: ["4"], vmodule: ["a=1"] },
    { "detect-local-mode": ["BridgeInterface"], "pod-bridge-interface": ["cni0"], "proxy-mode": ["iptables"] },
    { "bind-address": ["fd00::1"], "conntrack-udp-timeout": ["1m30s"], "proxy-mode": ["iptables"] },
    { "feature-gates": ["ContextualLogging=true"], "hostname-override": ["n1"], "proxy-mode": ["nftables"] },
  ])("that we write for %j is read by the real one, and what it writes of that by us", async (flags) => {
    const settings = settle(flags);
    await Bun.write(join(folder, "ours.conf"), configText(settings));
    const theirs = await written(`--config=${join(folder, "ours.conf")}`);

    // In nftables mode it fills in what node ports are on, which is our default as well.
    const nodePorts = flags["proxy-mode"]?.[0] === "nftables" ? { nodePortAddresses: ["primary"] } : {};
    expect(theirs).toEqual({ ...settings.configz, ...nodePorts });
    const again = settle({ config: ["theirs"] }, JSON.stringify(theirs));
    expect(again).toEqual({ ...settings, ...nodePorts, configFile: "theirs", configz: again.configz });
  });
});

function isNoHelp(name: string): boolean {
  return name !== "help";
}

function settle(flags: ProxyFlags, text?: string) {
  return settingsFrom(flags, undefined, { readFile: () => text, hostname: () => "node1" });
}

/** What the real one writes of its configuration. */
async function written(...args: readonly string[]) {
  const file = join(folder, "theirs.conf");
  const { exitCode, stderr } = await real(`--write-config-to=${file}`, ...args);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.not.stringContaining("lenient") });
  return parse(await Bun.file(file).text());
}

async function real(...args: readonly string[]) {
  const child = Bun.spawn([program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}
