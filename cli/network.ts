/**
 * `tsnet network ...`: what concerns the networks of this host as a whole.
 *
 * @module
 */
import type { Command } from "commander";
import { formatOf, printJson, printLine, withOutput } from "./output.ts";

export function register(program: Command): void {
  const network = program
    .command("network")
    .description("look after the networks of this host")
    .helpCommand(false)
    .addHelpText("after", "\nExample:\n  tsnet network reload");
  withOutput(network.command("reload"))
    .description("put back the rules of running containers after something flushed the firewall")
    .addHelpText(
      "after",
      `
nft flush ruleset, iptables -F and a reload of firewalld take masquerading and published ports away under
running containers. This puts back what is recorded for them; where nothing is missing it changes nothing.

Example:
  firewall-cmd --reload && tsnet network reload`,
    )
    .action(async (options) => {
      const { chooseFirewall } = await import("../lib/firewall/firewall.ts");
      const firewall = await chooseFirewall();
      await firewall.reload();
      if (formatOf(options) === "json") printJson({ reloaded: true, backend: firewall.backend });
      else printLine("the rules of running containers are in place");
    });
}
