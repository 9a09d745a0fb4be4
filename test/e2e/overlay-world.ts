/**
 * A host with what an overlay's agent leaves for its plugin, and calls of that plugin.
 *
 * @module
 */
import { expect } from "vitest";
import { parseCidr } from "../../lib/net/cidr.ts";
import type { AgentState } from "../../lib/overlay/state.ts";
import { renderSubnetEnv, type SubnetEnv } from "../../lib/overlay/subnetenv.ts";
import type { CniOptions, CniOutput, Host } from "./host.ts";

export const SUBNET_FILE = "/run/flannel/subnet.env";
const STATE_FILE = "/run/tsnet/overlay/agent.json";

/** This host's part: the second /24 and /64 of the network. */
export const ENV: SubnetEnv = {
  networks: { 4: parseCidr("10.244.0.0/16"), 6: parseCidr("fd00:244::/48") },
  subnets: { 4: parseCidr("10.244.1.1/24"), 6: parseCidr("fd00:244:0:1::1/64") },
  mtu: 1430,
  ipMasq: true,
};

export interface Result {
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac: string;
    readonly sandbox?: string;
    readonly mtu?: number;
  }[];
  readonly ips: readonly { readonly address: string; readonly gateway?: string; readonly interface: number }[];
  readonly routes: readonly { readonly dst: string; readonly gw?: string }[];
}

export function overlayConf(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { cniVersion: "1.1.0", name: "net1", type: "overlay", ...more };
}

export async function put(host: Host, path: string, text: string): Promise<void> {
  await host.ok(["install", "-D", "-m", "644", "/dev/stdin", path], { stdin: text });
}

export async function putEnv(host: Host, env: SubnetEnv = ENV): Promise<void> {
  await put(host, SUBNET_FILE, renderSubnetEnv(env));
}

export async function putState(host: Host, state: Partial<AgentState> & { readonly boot?: string }): Promise<void> {
  const whole = {
    pid: 1,
    started: "1",
    written: 0,
    host: "a",
    source: "file",
    connected: true,
    subnetFile: SUBNET_FILE,
    networks: [],
    subnets: [],
    backend: "vxlan",
    devices: [],
    peers: [],
    refused: [],
    ...state,
  };
  await put(host, STATE_FILE, JSON.stringify(whole));
}

/** Makes a container's namespace and attaches it. */
export async function attach(host: Host, id: string, conf: object = overlayConf()): Promise<Result> {
  const netns = await host.addNetns(id);
  return (await done(host, "ADD", conf, { id, netns })).json as Result;
}

/** One call that has to succeed. */
export async function done(host: Host, verb: string, conf: object, options: CniOptions = {}): Promise<CniOutput> {
  const id = options.id ?? "c1";
  const out = await host.cni(verb, "overlay", conf, { id, netns: `/run/netns/${id}`, ...options });
  expect(out, `${verb}: ${out.stdout}${out.stderr}`).toMatchObject({ exitCode: 0 });
  return out;
}

/** One call that has to fail, and its error. */
export async function refused(host: Host, verb: string, conf: object, options: CniOptions = {}): Promise<unknown> {
  const id = options.id ?? "c1";
  const out = await host.cni(verb, "overlay", conf, { id, netns: `/run/netns/${id}`, ...options });
  expect(out.exitCode, `${verb} succeeded: ${out.stdout}`).not.toBe(0);
  return out.json;
}

export const addressOf = (result: Result, family: 4 | 6): string =>
  result.ips.map((ip) => ip.address.split("/")[0] ?? "").find((ip) => ip.includes(":") === (family === 6)) ?? "";

/** The host with the bridge that an overlay leaves behind when the last container went: what "as before" means. */
export async function usedOnce(host: Host, conf: object = overlayConf()): Promise<string> {
  await attach(host, "first", conf);
  await done(host, "DEL", conf, { id: "first" });
  await host.ok(["ip", "netns", "del", "first"]);
  return await host.snapshot();
}
