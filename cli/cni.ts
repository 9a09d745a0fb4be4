/**
 * `tsnet cni add|del|check|gc|status`: runs the plugins of any network list by hand, as cnitool does.
 *
 * @module
 */
import type { Command } from "commander";
import { CACHE_DIR } from "../lib/runtime/cache.ts";
import { add, check, del, gc, status } from "./cni-verbs.ts";
import { withOutput } from "./output.ts";

export function register(program: Command): void {
  const cni = program
    .command("cni")
    .description("run the plugins of a CNI network by hand, as cnitool does")
    .helpCommand(false)
    .addHelpText("after", ENVIRONMENT);
  attachmentCommand(cni, "add", "attach a namespace to a network")
    .argument("<netns>", NETNS)
    .addHelpText("after", example("ip netns add blue && tsnet cni add mynet blue"))
    .action(add);
  attachmentCommand(cni, "del", "detach a namespace; it may be gone already")
    .argument("[netns]", `${NETNS}; not needed with --container-id`)
    .addHelpText("after", example("tsnet cni del mynet blue"))
    .action(del);
  attachmentCommand(cni, "check", "see whether an attachment still is as it was made")
    .argument("<netns>", NETNS)
    .addHelpText("after", example("tsnet cni check mynet blue"))
    .action(check);
  networkCommand(cni, "gc", "remove what attachments that are gone have left behind")
    .option("--keep <id:ifname...>", "keep these attachments and remove every other")
    .option("--all", "keep none: remove every attachment of the network")
    .argument("[netns]", "not needed; cnitool asks for one")
    .addHelpText("after", `${GC}${example("tsnet cni gc mynet --keep web:eth0")}`)
    .action(gc);
  networkCommand(cni, "status", "ask whether the network can take attachments")
    .argument("[netns]", "not needed; cnitool asks for one")
    .addHelpText("after", example("tsnet cni status mynet"))
    .action(status);
}

const ENVIRONMENT = `
Where an option is not given, cnitool's variables hold: NETCONFPATH, CNI_PATH, CNI_IFNAME, CNI_ARGS, CAP_ARGS.

Example:
  tsnet cni add mynet /run/netns/blue`;

const NETNS = "the namespace: its path, or its name in ip netns";

const GC = `
Without --keep and --all, the attachments in the cache whose namespace is still there are kept. Attachments that
another runtime made are not in the cache and are removed: list them with --keep.
`;

function networkCommand(cni: Command, name: string, description: string): Command {
  const command = cni
    .command(name)
    .description(description)
    .argument("<network>", "the network: its name, or the path of its file")
    .option("--conf-dir <dir>", "where the network lists are (default: NETCONFPATH, else /etc/cni/net.d)")
    .option("--plugin-dir <dirs>", "where the plugins are (default: CNI_PATH, else /opt/cni/bin)")
    .option("--cache-dir <dir>", "where results are kept", CACHE_DIR);
  return withOutput(command);
}

function attachmentCommand(cni: Command, name: string, description: string): Command {
  return networkCommand(cni, name, description)
    .option("-i, --ifname <name>", "name of the interface in the namespace (default: CNI_IFNAME, else eth0)")
    .option("--container-id <id>", "the container's id (default: made of the namespace's path, as cnitool does)")
    .option("--args <pairs>", "KEY=VALUE;KEY=VALUE for the plugins (default: CNI_ARGS)")
    .option("--capability-args <json>", "values for the plugins' capabilities, as a JSON object (default: CAP_ARGS)");
}

function example(line: string): string {
  return `\nExample:\n  ${line}`;
}
