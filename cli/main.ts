/**
 * The executable's one door: by the name that it is called by it is a CNI plugin, kube-proxy, flanneld, or the
 * `tsnet` command.
 *
 * A runtime starts a process for every plugin call, so that branch loads its plugin and nothing else, and leaves
 * as soon as the answer is written: letting the runtime wind down by itself costs milliseconds.
 *
 * @module
 */
import { runPlugin } from "../lib/cni/run.ts";
import { isPluginName, versionsOf } from "../plugins/names.ts";

/** Whose place a subcommand takes under that one's own name. */
const DAEMONS: ReadonlyMap<string, string> = new Map([
  ["kube-proxy", "proxy"],
  ["flanneld", "overlay"],
]);

void main();

/** `tsnet` is the command and a plugin, too: runtimes give plugins no arguments, and the verb in the environment. */
function isPluginCall(): boolean {
  return process.env.CNI_COMMAND !== undefined && process.argv.length === 2;
}

async function main(): Promise<void> {
  // argv[0] is always "bun"; argv0 is what the caller wrote, also through hard and symbolic links.
  const name = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
  // The one plugin with a process that stays. Runtimes give plugins no arguments.
  if (name === "dhcp" && process.argv.length > 2 && process.env.CNI_COMMAND === undefined) {
    process.exit(await (await import("../plugins/dhcp/daemon/main.ts")).main(process.argv.slice(2)));
  }
  if (isPluginName(name) && (name !== "tsnet" || isPluginCall())) {
    process.exit(
      await runPlugin({ name, versions: versionsOf(name) }, async (versions) =>
        (await import("./plugins.ts")).servePlugin(name, versions),
      ),
    );
  }
  // Started by whoever makes the first network or container, and kept alive by systemd or a watcher.
  if (name === "tsnet-helper") process.exit(await (await import("./helper.ts")).main());
  const { runCommand } = await import("./command.ts");
  const command = DAEMONS.get(name);
  process.exit(await runCommand([...(command === undefined ? [] : [command]), ...process.argv.slice(2)]));
}
