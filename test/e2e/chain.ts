/**
 * A list of plugins on a test host, called one after the other as a runtime does, or as the parts of one
 * `type: tsnet`.
 *
 * @module
 */
import { expect } from "vitest";
import type { CniOutput, Host } from "./host.ts";

/** A plugin's config less what every plugin of a list shares. */
export interface PluginConf extends Readonly<Record<string, unknown>> {
  readonly type: string;
}

/** A network, and the container that it is for. */
export interface Chain {
  readonly cniVersion: string;
  readonly plugins: readonly PluginConf[];
  /** Values by capability, as a runtime has them. */
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
  readonly args?: string;
}

/** What a verb came to, of the whole chain: the last output, or the first that failed. */
export type Ended = Pick<CniOutput, "exitCode" | "json" | "stdout">;

const NAME = "net1";
/** The container that all is about. */
export const ID = "web";
export const NETNS = `/run/netns/${ID}`;

/** ADD plugin by plugin, each with the result of the one before. */
export async function addChain(host: Host, chain: Chain): Promise<Ended> {
  let prevResult: unknown;
  let out: Ended = { exitCode: 0, json: undefined, stdout: "" };
  for (const plugin of chain.plugins) {
    out = await callOne(host, chain, "ADD", plugin, prevResult === undefined ? {} : { prevResult });
    if (out.exitCode !== 0) return out;
    prevResult = out.json;
  }
  return out;
}

/** Another verb plugin by plugin, backwards for DEL, up to the first that fails. */
export async function callChain(host: Host, chain: Chain, verb: string, more: object = {}): Promise<Ended> {
  let out: Ended = { exitCode: 0, json: undefined, stdout: "" };
  for (const plugin of verb === "DEL" ? chain.plugins.toReversed() : chain.plugins) {
    out = await callOne(host, chain, verb, plugin, more);
    if (out.exitCode !== 0) return out;
  }
  return out;
}

/** The same as the parts of one plugin. */
export async function callInOne(host: Host, chain: Chain, verb: string, more: object = {}): Promise<Ended> {
  return await callOne(host, chain, verb, inOne(chain), more);
}

/** The one plugin that stands for the chain. */
export function inOne({ plugins }: Chain): PluginConf {
  const capabilities = Object.assign({}, ...plugins.map((plugin) => plugin.capabilities ?? {}));
  return { type: "tsnet", capabilities, parts: plugins };
}

/** The verb has to succeed. */
export function well(out: Ended): Ended {
  expect(out, out.stdout).toMatchObject({ exitCode: 0 });
  return out;
}

/** What the kernel, the disk and the container hold, without what differs from one veth pair to the next. */
export async function stateOf(host: Host): Promise<string> {
  const inside = await host.run(["ip", "netns", "exec", ID, "sh", "-c", CONTAINER]);
  const shaped = await host.sh(SHAPING);
  return `${await host.snapshot()}${inside.stdout}# shaping\n${shaped}`
    .replaceAll(MAC, "MAC")
    .replaceAll(/if\d+/g, "if");
}

const MAC = /(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|fe80::[0-9a-f:]+/g;
const SHAPING = `tc qdisc show
for l in $(tc qdisc show ingress | grep -o 'dev [^ ]*' | cut -c5-); do tc filter show dev $l ingress; done`;
const CONTAINER = `
echo "# container"; ip -o addr | sed -E 's/^[0-9]+: //; s/valid_lft.*//; s/ tentative//'; ip -o link
ip route show table all | sort; ip -6 route show table all | sort; sysctl -a 2>/dev/null | grep -E 'eth0|somaxconn'
`;

async function callOne(host: Host, chain: Chain, verb: string, plugin: PluginConf, more: object): Promise<Ended> {
  const { cniVersion, runtimeConfig = {}, args } = chain;
  const declared = Object.keys((plugin.capabilities ?? {}) as object);
  const passed = Object.entries(runtimeConfig).filter(([key]) => declared.includes(key));
  const conf = {
    cniVersion,
    name: NAME,
    ...plugin,
    ...more,
    ...(passed.length === 0 ? {} : { runtimeConfig: Object.fromEntries(passed) }),
  };
  const options = { id: ID, netns: NETNS, ...(args === undefined ? {} : { args }) };
  return await host.cni(verb, plugin.type, conf, options);
}
