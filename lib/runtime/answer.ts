/**
 * What a plugin answered: a result to hand on, or its error with the plugin and the network named.
 *
 * @module
 */

import { fromCniError, PluginError } from "../cni/errors.ts";
import { parseJsonObject } from "../cni/object.ts";
import { encodeResult, parseResult } from "../cni/versions.ts";
import type { RunResult } from "../sys/run.ts";
import type { JsonObject, ListedPlugin, NetworkList } from "./list.ts";
import type { Verb } from "./request.ts";

/** The code of an answer that is no CNI error, as the reference plugins use it. */
const UNTYPED = 999;

/**
 * The result that an ADD printed, as it stands. One without a version has the list's, as libcni reads it.
 *
 * @throws TsnetError `decoding` or `invalid` if it is none.
 */
export function resultOf(stdout: string, list: NetworkList, plugin: ListedPlugin): JsonObject {
  const { raw } = parseJsonObject(stdout, `the result of ${plugin.type}`);
  const result = { ...raw, cniVersion: raw.cniVersion || list.cniVersion || "0.1.0" };
  parseResult(result, list.cniVersion);
  return result;
}

/** A cached result in another version: that of a list that was edited since. @throws TsnetError as {@link resultOf}. */
export function inVersion(result: JsonObject, version: string): JsonObject {
  return encodeResult(parseResult(result, version), version);
}

/** The error of a call that failed, `bridge ADD on network "front": ...`; it keeps the plugin's code. */
export function failureOf(verb: Verb, list: NetworkList, plugin: ListedPlugin, done: RunResult): PluginError {
  const at = `${plugin.type} ${verb} on network "${list.name}"`;
  try {
    const error = fromCniError(JSON.parse(done.stdout));
    return new PluginError(
      `${at}: ${error.message}`,
      error.cniCode,
      error.details ?? (done.stderr.trim() || undefined),
    );
  } catch {
    const said = (done.stdout.trim() || done.stderr.trim()).slice(0, 1000);
    return new PluginError(
      `${at}: exit code ${done.exitCode}${said === "" ? " and no message" : `: ${said}`}`,
      UNTYPED,
    );
  }
}
