/**
 * A part with its plugin loaded, and errors that say which part they are about.
 *
 * @module
 */
import { isAtLeast } from "../../lib/cni/supported.ts";
import type { ConfigObject, PluginCall } from "../../lib/cni/types.ts";
import { isTsnetError, TsnetError } from "../../lib/errors.ts";
import type { ChainPlugin } from "../../lib/plugin/kit.ts";
import { type PartConfig, parseParts } from "./config.ts";
import { loadPart } from "./types.ts";

export interface Part extends PartConfig {
  readonly plugin: ChainPlugin;
}

/** All parts of a call with their plugins. @throws TsnetError as `parseParts`, or `incompatible-version`. */
export async function openParts(call: PluginCall): Promise<readonly Part[]> {
  return await Promise.all(parseParts(call).map((config) => openPart(call, config)));
}

/** Reads all that an ADD reads of each part's config, and touches nothing. @throws TsnetError as that ADD does. */
export async function validateParts(call: PluginCall, parts: readonly Part[]): Promise<void> {
  for (const part of parts) {
    await inPart(part, async () => {
      await part.plugin.validate?.(part.call(call.conf.prevResult));
      // A part's own text is written anew, and has each key once.
      if (part.type === "tuning") {
        const { refuseRepeated } = await import("../tuning/repeated.ts");
        refuseRepeated(call.stdin, ["parts", "[]", "sysctl"]);
      }
    });
  }
}

/** @throws TsnetError `incompatible-version` if the plugin does not know the config's version. */
export async function openPart({ conf }: PluginCall, config: PartConfig): Promise<Part> {
  const plugin = await loadPart(config.type);
  const least = plugin.versions?.[0];
  if (least !== undefined && !isAtLeast(conf.cniVersion, least)) {
    throw new TsnetError("incompatible CNI versions", {
      code: "incompatible-version",
      details: `config is "${conf.cniVersion}", ${config.at} (${config.type}) exists since ${least}`,
    });
  }
  return { ...config, plugin };
}

/** Does `work` of a part; what it says about its config then names the part. */
export async function inPart<T>({ at, call }: PartConfig, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw placed(error, at, call(undefined).conf.raw);
  }
}

/** Plugins name keys as if the config were theirs alone: `mtu is 5, allowed are ...` is made `parts[0].mtu is 5, ...`. */
function placed(error: unknown, at: string, raw: ConfigObject): unknown {
  if (!isTsnetError(error, "invalid", "decoding", "unsupported") || error.message.includes(at)) return error;
  const [, key = ""] = /^(\w+)[^\w]/.exec(error.message) ?? [];
  const message = raw.has(key) ? `${at}.${error.message}` : `${at}: ${error.message}`;
  const { code, op, errno, details, cause } = error;
  return new TsnetError(message, {
    code,
    op,
    cause,
    ...(errno === undefined ? {} : { errno }),
    ...(details === undefined ? {} : { details }),
  });
}
