/**
 * The executable as a plugin: loads the one that it is called by, and no other.
 *
 * @module
 */
import { serve } from "../lib/cni/serve.ts";
import type { PluginName } from "../plugins/names.ts";

/** Answers a call that carries a config, and returns the exit code. */
export async function servePlugin(name: PluginName, versions: readonly string[]): Promise<number> {
  return serve(await loadPlugin(name), versions);
}

async function loadPlugin(name: PluginName) {
  switch (name) {
    case "bandwidth":
      return (await import("../plugins/bandwidth/main.ts")).plugin;
    case "bridge":
      return (await import("../plugins/bridge/main.ts")).plugin;
    case "dhcp":
      return (await import("../plugins/dhcp/main.ts")).plugin;
    case "dummy":
      return (await import("../plugins/dummy/main.ts")).plugin;
    case "firewall":
      return (await import("../plugins/firewall/main.ts")).plugin;
    case "host-device":
      return (await import("../plugins/host-device/main.ts")).plugin;
    case "host-local":
      return (await import("../plugins/host-local/main.ts")).plugin;
    case "ipvlan":
      return (await import("../plugins/ipvlan/main.ts")).plugin;
    case "loopback":
      return (await import("../plugins/loopback/main.ts")).plugin;
    case "macvlan":
      return (await import("../plugins/macvlan/main.ts")).plugin;
    case "overlay":
      return (await import("../plugins/overlay/main.ts")).plugin;
    case "portmap":
      return (await import("../plugins/portmap/main.ts")).plugin;
    case "ptp":
      return (await import("../plugins/ptp/main.ts")).plugin;
    case "sbr":
      return (await import("../plugins/sbr/main.ts")).plugin;
    case "static":
      return (await import("../plugins/static/main.ts")).plugin;
    case "tap":
      return (await import("../plugins/tap/main.ts")).plugin;
    case "tsnet":
      return (await import("../plugins/tsnet/main.ts")).plugin;
    case "tuning":
      return (await import("../plugins/tuning/main.ts")).plugin;
    case "vlan":
      return (await import("../plugins/vlan/main.ts")).plugin;
    case "vrf":
      return (await import("../plugins/vrf/main.ts")).plugin;
  }
}
