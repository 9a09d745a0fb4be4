/**
 * `tsnet network create`: docker's and podman's flags.
 *
 * @module
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { CONF_DIR } from "../lib/runtime/load.ts";
import { createNetwork } from "../standalone/networks/create.ts";
import { type CreateFlags, specOf } from "../standalone/networks/spec.ts";
import { State } from "../standalone/state/state.ts";
import { viewNetwork } from "../standalone/view.ts";
import { collect } from "./network-list.ts";
import { printJson, printLine } from "./output.ts";
import { requireRoot } from "./project.ts";

interface CreateOptions extends CreateFlags {
  readonly conflist?: boolean;
  readonly conflistDir?: string;
  readonly output?: string;
}

export function registerCreate(network: Command): void {
  network
    .command("create")
    .description("make a network that stays until it is removed")
    .argument("<network>", "its name")
    .option("--subnet <cidr>", "an IPv4 subnet, and once more an IPv6 one (default: a free IPv4 one)", collect)
    .option("--ip-range <cidr>", "the part of the subnet that addresses are taken from")
    .option("--gateway <address>", "the host's address on it (default: the first of the subnet)", collect)
    .option("--ipv6", "an IPv6 subnet, made up (unique local) unless one is given")
    .option("--internal", "no way out of it, and none in")
    .option("--open-to <network>", "a network that is not kept apart from it; may be given again", collect)
    .option("--no-isolation", "let everybody in who finds a way")
    .option("--no-masquerade", "what leaves the host keeps its container's address")
    .option("--route <route>", '"SUBNET via ADDRESS" or SUBNET,ADDRESS for its containers; may be given again', collect)
    .option("--mtu <bytes>", "default: that of the uplink")
    .option("--bridge <name>", "the bridge's name (default: made up)")
    .option("--label <label>", "NAME=VALUE; may be given again", collect)
    .option("-d, --driver <driver>", "bridge, the one that there is")
    .option(
      "-o, --opt <option>",
      "a driver option of docker's or podman's as KEY=VALUE; or the output, json or table",
      collect,
    )
    .option("--conflist", `show it to container runtimes as well, in ${CONF_DIR}`)
    .option("--conflist-dir <dir>", "the same in another folder")
    .addHelpText("after", HELP)
    .action(async (name: string, options: CreateOptions) => {
      requireRoot("tsnet network create");
      const [formats, opt] = partition(options.opt ?? [], (one) => one === "json" || one === "table");
      const spec = specOf(name, { ...options, opt });
      const network = await createNetwork(spec, new State(), folderOf(options));
      if (formats.includes("json")) printJson(viewNetwork(network, []));
      else printLine(network.name);
    });
}

const HELP = `
Its containers find each other by name, reach the world by the host's address, and are reached from other networks
and from outside by published ports alone. A runtime that it is shown to knows it as local.NAME.

Examples:
  tsnet network create front
  tsnet network create --subnet 10.88.1.0/24 --ip-range 10.88.1.128/25 --ipv6 front
  tsnet network create --internal back
  tsnet network create --conflist shared && podman run --network local.shared alpine`;

function folderOf({ conflist, conflistDir }: CreateOptions): string | undefined {
  if (conflistDir !== undefined) return resolve(conflistDir);
  return conflist === true ? CONF_DIR : undefined;
}

function partition(
  texts: readonly string[],
  test: (text: string) => boolean,
): readonly [readonly string[], readonly string[]] {
  return [texts.filter(test), texts.filter((text) => !test(text))];
}
