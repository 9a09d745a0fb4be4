/**
 * One call that carries a config: environment and standard input are validated whole, then the verb runs, then its
 * answer is printed once.
 *
 * @module
 */
import { messageOf, TsnetError } from "../errors.ts";
import { warn } from "../log.ts";
import { isOwnNetns } from "../sys/netns.ts";
import { readStdin, writeStdout } from "../sys/stdio.ts";
import { Undo } from "../undo.ts";
import { parseNetConf, versionOf } from "./config.ts";
import { type CallEnv, concernsContainer, parseEnv } from "./env.ts";
import { toCniError } from "./errors.ts";
import { parseJsonObject } from "./object.ts";
import { isAtLeast, NEWEST_VERSION } from "./supported.ts";
import type { CniCommand, CniResult, ConfigObject, NetConf, Plugin, PluginCall } from "./types.ts";
import { encodeResult, parsePrevResult } from "./versions.ts";

/** Answers a call other than VERSION, which the environment and standard input are, and returns the exit code. */
export async function serve(plugin: Plugin, versions: readonly string[]): Promise<number> {
  const { exitCode, stdout } = await answerCall(plugin, versions, { env: process.env, stdin: readInput });
  writeStdout(stdout);
  return exitCode;
}

/** A call as a runtime makes it. */
export interface CallText {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: () => string;
}

/** Answers a call other than VERSION: what a process of the plugin would print, and its exit code. Does not throw. */
export async function answerCall(
  plugin: Plugin,
  versions: readonly string[],
  given: CallText,
): Promise<{ readonly exitCode: number; readonly stdout: string }> {
  let version = NEWEST_VERSION;
  let command: CniCommand | undefined;
  try {
    const env = parseEnv(given.env);
    command = env.command;
    const stdin = given.stdin();
    const raw = parseJsonObject(stdin, "the network config");
    version = versionOf(raw);
    return { exitCode: 0, stdout: await answer(plugin, callOf(env, stdin, parseConfig(raw, env, versions))) };
  } catch (error) {
    return { exitCode: 1, stdout: `${JSON.stringify(toCniError(error, version, command), null, 4)}\n` };
  }
}

function readInput(): string {
  try {
    return readStdin();
  } catch (cause) {
    throw new TsnetError(`error reading from stdin: ${messageOf(cause)}`, { code: "io", cause });
  }
}

/** The lowest config version that allows the verb. */
const LOWEST: Readonly<Partial<Record<CniCommand, string>>> = { CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0" };

function parseConfig(raw: ConfigObject, env: CallEnv, versions: readonly string[]): NetConf {
  const conf = parseNetConf(raw);
  checkVersion(conf.cniVersion, env.command, versions);
  if (concernsContainer(env.command)) checkNetns(env);
  const prevResult = prevResultOf(raw, env.command, conf.cniVersion);
  return prevResult === undefined ? conf : { ...conf, prevResult };
}

function checkVersion(version: string, command: CniCommand, versions: readonly string[]): void {
  if (!versions.includes(version)) {
    const supported = versions.map((each) => `"${each}"`).join(" ");
    throw new TsnetError("incompatible CNI versions", {
      code: "incompatible-version",
      details: `config is "${version}", plugin supports [${supported}]`,
    });
  }
  if (!isAtLeast(version, LOWEST[command] ?? version)) {
    throw new TsnetError(`config version does not allow ${command}`, {
      code: "incompatible-version",
      details: `config is "${version}", ${command} exists since ${LOWEST[command]}`,
    });
  }
}

/** On DEL as well: what is called eth0 in our own namespace belongs to the host. */
function checkNetns(env: CallEnv): void {
  if (env.netnsOverride || env.netns === "" || !isOwnNetns(env.netns)) return;
  throw new TsnetError("plugin's netns and netns from CNI_NETNS should not be the same", {
    code: "invalid-netns",
    details: `CNI_NETNS is ${env.netns}; CNI_NETNS_OVERRIDE=1 allows it`,
  });
}

function prevResultOf(raw: ConfigObject, command: CniCommand, version: string): CniResult | undefined {
  if (!concernsContainer(command)) return undefined;
  try {
    const prevResult = raw.object("prevResult");
    if (prevResult !== undefined) return parsePrevResult(prevResult, version);
  } catch (error) {
    if (command !== "DEL") throw error;
    // DEL does without one: refusing would leave everything behind for good.
    warn(`ignoring an unreadable prevResult: ${messageOf(error)}`);
  }
  if (command === "CHECK") throw new TsnetError("required prevResult missing", { code: "invalid" });
  return undefined;
}

function callOf(env: CallEnv, stdin: string, conf: NetConf): PluginCall {
  const { command, path, args } = env;
  const { containerId, netns, ifname } = concernsContainer(command) ? env : { containerId: "", netns: "", ifname: "" };
  const attachment = { network: conf.name, containerId, ifname };
  return { command, containerId, netns, ifname, path, args, conf, stdin, attachment };
}

/** Only ADD has something to say. */
async function answer(plugin: Plugin, call: PluginCall): Promise<string> {
  switch (call.command) {
    case "ADD":
      return await addedResult(plugin, call);
    case "DEL":
      await plugin.del(call);
      return "";
    case "CHECK":
      await plugin.check(call);
      return "";
    case "GC":
      await plugin.gc(call);
      return "";
    case "STATUS":
      await plugin.status(call);
      return "";
  }
}

async function addedResult(plugin: Plugin, call: PluginCall): Promise<string> {
  const result = await plugin.add(call);
  try {
    return `${JSON.stringify(encodeResult(result, call.conf.cniVersion), null, 4)}\n`;
  } catch (error) {
    // The caller is told that nothing was added, so nothing may stay.
    const undo = new Undo();
    undo.add("ADD", () => plugin.del(call));
    throw await undo.unwind(error);
  }
}
