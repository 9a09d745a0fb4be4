/**
 * The TAP device itself: made in the container under its final name, and how one that is there is set.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { type Link, linkDel, linkSet } from "../../lib/netlink/link.ts";
import { checkFailed, checkPresent } from "../../lib/plugin/check.ts";
import { aliasOf, type Scene } from "../../lib/plugin/interface.ts";
import { requireLink } from "../../lib/plugin/link.ts";
import type { Namespaces } from "../../lib/plugin/netns.ts";
import { addTap } from "../../lib/sys/tap.ts";
import type { TapConfig } from "./config.ts";

// linux/if_link.h
const IFLA_TUN_OWNER = 1;
const IFLA_TUN_GROUP = 2;
const IFLA_TUN_TYPE = 3;
const IFLA_TUN_PERSIST = 6;
const IFLA_TUN_MULTI_QUEUE = 7;
// linux/if_tun.h
const IFF_TAP = 2;

/** Makes the device, and tells `undo`. */
export async function putTap(scene: Scene, config: TapConfig): Promise<Link> {
  const { call, container, netns, undo } = scene;
  const { ifname, attachment } = call;
  const bridge = config.bridge === undefined ? undefined : bridgeIn(scene, config.bridge);
  const spec = { name: ifname, multiQueue: config.multiQueue, owner: config.owner, group: config.group };
  if (config.selinuxContext === undefined) addTap(netns, spec);
  else await (await import("./selinux.ts")).addLabelledTap(netns, spec, config.selinuxContext);
  undo.add("the tap", () => void linkDel(container, ifname));
  linkSet(container, ifname, {
    alias: aliasOf(attachment),
    ...(config.mtu === undefined ? {} : { mtu: config.mtu }),
    ...(config.mac === undefined ? {} : { mac: config.mac }),
    ...(bridge === undefined ? {} : { master: bridge.index }),
  });
  return requireLink(container, ifname);
}

/** @throws TsnetError `check-failed` if the device is not as the config says. */
export function checkTap(link: Link, { container }: Namespaces, config: TapConfig): void {
  const number = (type: number) => link.data.get(type)?.readUInt32LE(0);
  const isSet = (type: number) => link.data.get(type)?.[0] === 1;
  const what = `tap ${link.name}`;
  if (link.data.get(IFLA_TUN_TYPE)?.[0] !== IFF_TAP) throw checkFailed(`${link.name} is a tun, wanted a tap`);
  if (!isSet(IFLA_TUN_PERSIST))
    throw checkFailed(`${what} is not persistent: it goes with the program that has it open`);
  if (isSet(IFLA_TUN_MULTI_QUEUE) !== config.multiQueue)
    throw checkFailed(
      `${what} has ${config.multiQueue ? "one queue" : "multiple queues"}, wanted otherwise: multiQueue`,
    );
  for (const [key, found] of [
    ["owner", number(IFLA_TUN_OWNER)],
    ["group", number(IFLA_TUN_GROUP)],
  ] as const) {
    if (config[key] !== found)
      throw checkFailed(`${what} has the ${key} ${found ?? "none"}, wanted ${config[key] ?? "none"}`);
  }
  if (config.bridge === undefined) return;
  const bridge = checkPresent(container, config.bridge, "bridge");
  if (link.master !== bridge.index) throw checkFailed(`${what} is no port of bridge ${bridge.name}`);
}

function bridgeIn({ container, netns }: Scene, name: string): Link {
  const bridge = requireBridge(container, name, netns.path);
  if (bridge.kind === "bridge") return bridge;
  throw new TsnetError(`${name} in ${netns.path} exists but is not a bridge`, { code: "invalid", op: "tap" });
}

function requireBridge(container: Scene["container"], name: string, path: string): Link {
  try {
    return requireLink(container, name);
  } catch (cause) {
    throw new TsnetError(`failed to get bridge ${name}: ${path} has no such link`, {
      code: "not-found",
      op: "tap",
      cause,
    });
  }
}
