/**
 * The plugins that can be parts of a chain in one process.
 *
 * @module
 */
import type { ChainPlugin } from "../../lib/plugin/kit.ts";

export const partTypes = ["bridge", "portmap", "firewall", "bandwidth", "tuning"] as const;

export type PartType = (typeof partTypes)[number];

/** Whether a plugin of that type can be a part. */
export function isPartType(type: string): type is PartType {
  return (partTypes as readonly string[]).includes(type);
}

export async function loadPart(type: PartType): Promise<ChainPlugin> {
  switch (type) {
    case "bandwidth":
      return (await import("../bandwidth/main.ts")).plugin;
    case "bridge":
      return (await import("../bridge/main.ts")).plugin;
    case "firewall":
      return (await import("../firewall/main.ts")).plugin;
    case "portmap":
      return (await import("../portmap/main.ts")).plugin;
    case "tuning":
      return (await import("../tuning/main.ts")).plugin;
  }
}
