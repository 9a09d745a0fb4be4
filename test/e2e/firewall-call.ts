/**
 * lib/firewall on a test host: one call a process, as the plugins make it.
 *
 *     bun firewall-call.ts attach|detach|check|reload BACKEND [LINK ADDRESS...]      the wish is `accept`
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import { chooseFirewall } from "../../lib/firewall/firewall.ts";
import type { Backend } from "../../lib/firewall/types.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import type { Host, Output } from "./host.ts";

/** Calls a verb of the firewall for the attachment net1/web/eth0; the error's message is on standard error. */
export function accept(
  host: Host,
  verb: string,
  backend: Backend,
  link = "br0",
  ...addresses: readonly string[]
): Promise<Output> {
  const argv = [process.execPath, import.meta.filename, verb, backend, link, ...addresses];
  return host.run(argv, { env: { BUN_BE_BUN: "1" } });
}

async function main([verb, backend, link = "", ...addresses]: readonly string[]): Promise<void> {
  const firewall = await chooseFirewall(backend === "nftables" ? "nftables" : "iptables");
  const attachment = { network: "net1", containerId: "web", ifname: "eth0" };
  const wishes = { accept: { link, addresses: addresses.map(parseCidr) } };
  if (verb === "attach") await firewall.attach(attachment, wishes);
  else if (verb === "check") await firewall.check(attachment, wishes);
  else if (verb === "detach") await firewall.detach(attachment, ["accept"]);
  else await firewall.reload();
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(messageOf(error));
    process.exit(1);
  }
}
