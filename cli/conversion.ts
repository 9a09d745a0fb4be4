/**
 * A network list into one whose plugins are done in one exec: runs of plugins that can be parts become one plugin
 * `type: tsnet` each; what cannot be inside stays where it is in the order.
 *
 * @module
 */
import { parseNetConf } from "../lib/cni/config.ts";
import { objectOf } from "../lib/cni/object.ts";
import type { PluginCall } from "../lib/cni/types.ts";
import { isTsnetError, TsnetError } from "../lib/errors.ts";
import { type JsonObject, type ListedPlugin, type NetworkList, parseNetworkList } from "../lib/runtime/list.ts";
import { isPartType } from "../plugins/tsnet/types.ts";

/** What became of a list. */
export interface Conversion {
  /** The list as it was and as it is now, both written alike. */
  readonly before: string;
  readonly after: string;
  /** In words, a line for each plugin of the new list. */
  readonly plugins: readonly string[];
}

/** Plugins of the list that stand together: one that stays, or the parts of a new one. */
interface Group {
  /** The place of the first one in the list. */
  readonly at: number;
  readonly plugins: readonly ListedPlugin[];
}

/**
 * Converts the text of a list.
 *
 * @param path names the file in errors.
 * @throws TsnetError `invalid`, naming what would not work inside, or what the list lacks.
 */
export async function convertList(text: string, path: string): Promise<Conversion> {
  const list = parseNetworkList(text, path);
  const { raw } = objectOf(JSON.parse(text), path);
  if (list.plugins.length === 0) {
    const isOne = typeof raw.type === "string";
    throw refusal(
      isOne
        ? `${path} is the config of one plugin, ${raw.type}: a list of plugins is converted, a .conflist`
        : `${path}: no "plugins": those in files of a folder cannot be parts`,
    );
  }
  const groups = groupsOf(list.plugins);
  for (const group of groups) if (isJoined(group)) await refuseWrong(list, group, path);
  const plugins = groups.map((group) => (isJoined(group) ? joined(group) : group.plugins[0]?.raw));
  return {
    before: written(raw),
    after: written({ ...raw, plugins }),
    plugins: groups.map((group, at) => `plugins[${at}]: ${describe(group)}`),
  };
}

/** The longest runs; a plugin that comes a second time begins a new one. One alone is as quick by itself. */
function groupsOf(plugins: readonly ListedPlugin[]): readonly Group[] {
  const groups: { at: number; plugins: ListedPlugin[] }[] = [];
  for (const [at, plugin] of plugins.entries()) {
    const last = groups.at(-1)?.plugins;
    const fits =
      isPartType(plugin.type) && last?.every(({ type }) => isPartType(type) && type !== plugin.type) === true;
    if (fits) last.push(plugin);
    else groups.push({ at, plugins: [plugin] });
  }
  return groups;
}

function isJoined({ plugins }: Group): boolean {
  return plugins.length > 1;
}

function joined({ plugins }: Group): JsonObject {
  const names = [...new Set(plugins.flatMap(({ capabilities }) => capabilities))];
  const capabilities = Object.fromEntries(names.map((name) => [name, true]));
  return {
    type: "tsnet",
    ...(names.length === 0 ? {} : { capabilities }),
    parts: plugins.map(({ raw }) => raw),
  };
}

/** What ADD would refuse, with samples of what only a call brings. @throws TsnetError `invalid`. */
async function refuseWrong({ name, cniVersion }: NetworkList, group: Group, path: string): Promise<void> {
  const { openParts, validateParts } = await import("../plugins/tsnet/part.ts");
  const conf = objectOf({ cniVersion, name, ...joined(group), runtimeConfig: SAMPLES }, path);
  const attachment = { network: name, containerId: "convert", ifname: "eth0" };
  const call: PluginCall = {
    ...attachment,
    command: "ADD",
    netns: "",
    path: [],
    args: "",
    conf: parseNetConf(conf),
    stdin: JSON.stringify(conf.raw),
    attachment,
  };
  try {
    await validateParts(call, await openParts(call));
  } catch (error) {
    if (!isTsnetError(error)) throw error;
    const place = (text: string) => text.replaceAll(/parts\[(\d+)\]/g, (_, at) => `plugins[${group.at + Number(at)}]`);
    const details = error.details === undefined ? "" : `: ${place(error.details)}`;
    throw refusal(
      `${path} does not work as it stands, so it is not converted: ${place(error.message)}${details}`,
      error,
    );
  }
}

const SAMPLES = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  ipRanges: [[{ subnet: "192.0.2.0/24" }]],
};

function describe(group: Group): string {
  const types = group.plugins.map(({ type }) => type).join(", ");
  if (isJoined(group)) return `tsnet, with the parts ${types}`;
  return isPartType(types)
    ? `${types}, alone, which gains nothing inside`
    : `${types}, which stays a plugin of the list`;
}

function written(list: unknown): string {
  return `${JSON.stringify(list, null, 2)}\n`;
}

function refusal(message: string, cause?: unknown): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "convert", cause });
}
