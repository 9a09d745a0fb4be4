/**
 * Attachments by any plugin on a test host, as a runtime makes them and takes them down.
 *
 * @module
 */
import { expect } from "vitest";
import type { CniOptions, CniOutput, Host } from "./host.ts";

export interface Result {
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac: string;
    readonly mtu?: number;
    readonly sandbox?: string;
  }[];
  readonly ips: readonly { readonly address: string; readonly gateway?: string; readonly interface: number }[];
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[];
}

export interface Conf extends Readonly<Record<string, unknown>> {
  readonly type: string;
}

/** The container `id` of {@link Host.addNetns}. */
export const containerOf = (id: string): CniOptions & { readonly id: string; readonly netns: string } => ({
  id,
  netns: `/run/netns/${id}`,
});

/** The output of a call that has to succeed. */
export async function well(output: Promise<CniOutput>): Promise<CniOutput> {
  const out = await output;
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
  return out;
}

/** Adds to a container whose namespace is there. */
export async function add(host: Host, conf: Conf, id: string, options: CniOptions = {}): Promise<Result> {
  const out = await well(host.cni("ADD", conf.type, conf, { ...containerOf(id), ...options }));
  return out.json as Result;
}

/** Makes the namespace, too. */
export async function attach(host: Host, conf: Conf, id: string, options: CniOptions = {}): Promise<Result> {
  await host.addNetns(id);
  return add(host, conf, id, options);
}

/** DEL has to succeed in silence. */
export async function detach(host: Host, conf: Conf, id: string, options: CniOptions = {}): Promise<void> {
  const out = await well(host.cni("DEL", conf.type, conf, { ...containerOf(id), ...options }));
  expect(out.stdout).toBe("");
}

/** What CHECK objects to; empty if nothing. */
export async function check(host: Host, conf: Conf, prevResult: object, id: string): Promise<string> {
  const out = await host.cni("CHECK", conf.type, { ...conf, prevResult }, containerOf(id));
  return out.exitCode === 0 ? "" : messageOf(out);
}

/** What an ADD is refused with. */
export async function refusal(host: Host, conf: Conf, id: string, options: CniOptions = {}): Promise<string> {
  const out = await host.cni("ADD", conf.type, conf, { ...containerOf(id), ...options });
  expect(out.exitCode, out.stdout).not.toBe(0);
  return messageOf(out);
}

/** An address of the result without its prefix. */
export function addressOf(result: Result, family: 4 | 6): string {
  return result.ips.map((ip) => ip.address.split("/")[0] ?? "").find((ip) => ip.includes(":") === (family === 6)) ?? "";
}

function messageOf({ json }: CniOutput): string {
  return (json as { msg: string }).msg;
}

/** A dual-stack network of point-to-point links on host-local. */
export function ptpConf(more: Readonly<Record<string, unknown>> = {}): Conf {
  return {
    cniVersion: "1.1.0",
    name: "net1",
    type: "ptp",
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.11.0.0/24" }], [{ subnet: "fd11::/64" }]],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    },
    ...more,
  };
}
