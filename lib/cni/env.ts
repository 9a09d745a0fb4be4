/**
 * The environment of a call: read once, checked whole, before standard input is touched.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { checkContainerId, checkInterfaceName } from "./names.ts";
import type { CniCommand } from "./types.ts";

/** The variables of one call; what was not given is empty. */
export interface CallEnv {
  readonly command: CniCommand;
  readonly containerId: string;
  readonly netns: string;
  readonly ifname: string;
  readonly args: string;
  readonly path: readonly string[];
  /** CNI_NETNS_OVERRIDE: the caller means it when CNI_NETNS is our own namespace. */
  readonly netnsOverride: boolean;
}

/**
 * Reads the call from environment variables.
 *
 * @throws TsnetError `environment`: an unknown verb, missing variables (listed in the reference's order), or
 * names that are none.
 */
export function parseEnv(env: Readonly<Record<string, string | undefined>>): CallEnv {
  const command = commandOf(env.CNI_COMMAND ?? "");
  const missing = REQUIRED[command].filter((name) => (env[name] ?? "") === "");
  if (missing.length > 0) {
    throw new TsnetError(`required env variables [${missing.join(",")}] missing`, { code: "environment" });
  }
  const containerId = env.CNI_CONTAINERID ?? "";
  const ifname = env.CNI_IFNAME ?? "";
  if (concernsContainer(command)) {
    checkContainerId(containerId);
    checkInterfaceName(ifname);
  }
  return {
    command,
    containerId,
    netns: env.CNI_NETNS ?? "",
    ifname,
    args: env.CNI_ARGS ?? "",
    path: (env.CNI_PATH ?? "").split(":").filter((directory) => directory !== ""),
    netnsOverride: /^(1|true)$/i.test(env.CNI_NETNS_OVERRIDE ?? ""),
  };
}

/** Whether the verb is about one container's interface, rather than the network. */
export function concernsContainer(command: CniCommand): boolean {
  return command === "ADD" || command === "DEL" || command === "CHECK";
}

// In the order in which the missing ones are listed.
const REQUIRED: Readonly<Record<CniCommand, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
  GC: ["CNI_PATH"],
  STATUS: ["CNI_PATH"],
};

function commandOf(text: string): CniCommand {
  switch (text) {
    case "ADD":
    case "DEL":
    case "CHECK":
    case "GC":
    case "STATUS":
      return text;
    default:
      throw new TsnetError(`unknown CNI_COMMAND: ${text}`, { code: "environment" });
  }
}
