/**
 * Containers on a bridge whose bandwidth is limited: what the tests of the bandwidth plugin stand on.
 *
 * @module
 */
import { expect } from "vitest";
import type { CniOutput, Host } from "./host.ts";
import { bridgeConf } from "./world.ts";

export interface Result {
  readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly sandbox?: string }[];
  readonly ips: readonly { readonly address: string }[];
}

export interface CallOptions {
  /** `c1` unless given. */
  readonly id?: string;
  readonly ifname?: string;
  /** Folder of the plugins, ours unless given. */
  readonly path?: string;
  /** That of the container unless given. */
  readonly netns?: string;
}

/** Limits both ways, in bits. */
export const BOTH = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 16_000_000, egressBurst: 1_600_000 };

/** A container on the bridge; what the bridge plugin said. */
export async function container(host: Host, options: CallOptions = {}): Promise<Result> {
  const id = options.id ?? "c1";
  await host.run(["ip", "netns", "add", id]);
  const out = await host.cni("ADD", "bridge", bridgeConf(), { ...options, id, netns: `/run/netns/${id}` });
  expect(out, out.stdout).toMatchObject({ exitCode: 0 });
  return out.json as Result;
}

/** A verb of the bandwidth plugin. */
export function shaping(host: Host, verb: string, conf: object, options: CallOptions = {}): Promise<CniOutput> {
  const id = options.id ?? "c1";
  const base = { cniVersion: "1.0.0", name: "net1", type: "bandwidth" };
  return host.cni(verb, "bandwidth", { ...base, ...conf }, { id, netns: `/run/netns/${id}`, ...options });
}

/** ADD of the bandwidth plugin, which must succeed without a word. */
export async function shaped(host: Host, conf: object, options: CallOptions = {}): Promise<Result> {
  const out = await shaping(host, "ADD", conf, options);
  expect(out, out.stdout).toMatchObject({ exitCode: 0, stderr: "" });
  return out.json as Result;
}

/** The name of the ifb, "" if there is none. */
export function ifbOf(result: Result): string {
  return result.interfaces.find(({ name }) => name.startsWith("bwp"))?.name ?? "";
}

/** The name of the host's end. */
export function vethOf(result: Result): string {
  return result.interfaces.find(({ name }) => name.startsWith("veth"))?.name ?? "";
}
