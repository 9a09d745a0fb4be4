/**
 * `tsnet network ...`: the networks of this host, and who is on them.
 *
 * @module
 */
import type { Command } from "commander";
import { State } from "../standalone/state/state.ts";
import { registerConnect } from "./network-connect.ts";
import { registerCreate } from "./network-create.ts";
import { registerList } from "./network-list.ts";
import { registerRemove } from "./network-remove.ts";
import { formatOf, printJson, printLine, withOutput } from "./output.ts";

export function register(program: Command): void {
  const network = program
    .command("network")
    .description("make, list and remove networks, and connect containers to them")
    .helpCommand(false)
    .addHelpText("after", EXAMPLE);
  for (const part of [registerList, registerCreate, registerRemove, registerConnect, registerReload]) part(network);
}

const EXAMPLE = `
A network is named as it was created; one of a file is PROJECT.NETWORK.

Example:
  tsnet network create front && tsnet run -d --network front busybox httpd -f`;

function registerReload(network: Command): void {
  withOutput(network.command("reload"))
    .description("put back the rules of networks and containers after something flushed the firewall, or after a boot")
    .addHelpText(
      "after",
      `
nft flush ruleset, iptables -F and a reload of firewalld take masquerading and published ports away under
running containers. This puts back what is recorded for them; where nothing is missing it changes nothing.

Example:
  firewall-cmd --reload && tsnet network reload`,
    )
    .action(async (options) => {
      const [{ chooseFirewall }, { reloadNetworks }] = await Promise.all([
        import("../lib/firewall/firewall.ts"),
        import("../standalone/networks/restore.ts"),
      ]);
      await reloadNetworks(new State());
      const firewall = await chooseFirewall();
      await firewall.reload();
      if (formatOf(options) === "json") printJson({ reloaded: true, backend: firewall.backend });
      else printLine("the rules of running containers are in place");
    });
}
