/**
 * CNI_ARGS: `K=V;K=V`. Only plugins that read arguments parse it, since callers put anything there.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

/**
 * Reads CNI_ARGS; keys are case-sensitive, and the last of two equal ones counts.
 *
 * @param knownKeys what the plugin reads; another key is an error unless `IgnoreUnknown` is 1 or true.
 * @throws TsnetError `environment`.
 */
export function parseCniArgs(text: string, knownKeys: readonly string[]): ReadonlyMap<string, string> {
  const known = new Map<string, string>();
  const unknown: string[] = [];
  let ignoreUnknown = false;
  for (const pair of text === "" ? [] : text.split(";")) {
    const [key = "", value, ...more] = pair.split("=");
    if (value === undefined || more.length > 0) throw fault(`invalid pair ${JSON.stringify(pair)}`);
    if (key === "IgnoreUnknown") ignoreUnknown = booleanOf(pair, value);
    else if (knownKeys.includes(key)) known.set(key, value);
    else unknown.push(pair);
  }
  if (unknown.length > 0 && !ignoreUnknown) throw fault(`unknown args ${JSON.stringify(unknown)}`);
  return known;
}

function booleanOf(pair: string, value: string): boolean {
  switch (value.toLowerCase()) {
    case "1":
    case "true":
      return true;
    case "0":
    case "false":
      return false;
    default:
      throw fault(`error parsing value of pair ${JSON.stringify(pair)}: neither true nor false`);
  }
}

function fault(what: string): TsnetError {
  return new TsnetError(`ARGS: ${what}`, { code: "environment", op: "read CNI_ARGS" });
}
