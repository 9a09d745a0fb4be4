/**
 * The name of the Node that this is.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";

/**
 * The override if there is one, else the host's name; trimmed, in lower case, as kubelet registers it.
 *
 * @throws TsnetError `invalid` if nothing is left of it.
 */
export function nodeName(override: string, hostname: () => string): string {
  const name = (override === "" ? hostname() : override).trim().toLowerCase();
  if (name !== "") return name;
  const what = override === "" ? "the host has no name" : "the host name override is blank";
  throw new TsnetError(`${what}: name the Node with --hostname-override`, { code: "invalid", op: "name the node" });
}
