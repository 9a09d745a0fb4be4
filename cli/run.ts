/**
 * `tsnet run`: a command as a container of its own, with no file. In the foreground its exit code is ours; 125 means
 * that we failed, 126 that the command cannot be started, 127 that it is not there: Docker's codes.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { isTerminal } from "../lib/sys/spawn.ts";
import { usePlugins } from "../standalone/attach.ts";
import { StartError } from "../standalone/container/launch.ts";
import { runAttached, runDetached } from "../standalone/run.ts";
import { State } from "../standalone/state/state.ts";
import { printLine, reportError } from "./output.ts";
import { executeHere } from "./plugins-here.ts";
import { requireRoot } from "./project.ts";
import { ELSEWHERE, type RunWords, specFrom } from "./run-options.ts";

/** We failed before the command could. */
const FAILED = 125;

type Options = RunWords & {
  readonly detach?: boolean;
  readonly rm?: boolean;
  readonly tty?: boolean;
};

export function register(program: Command): void {
  const command = program
    .command("run")
    .description("run a command as a container of its own, on a network")
    .argument("<command...>", "the command and its arguments")
    .helpOption("--help", "display help for command")
    .option("-d, --detach", "in the background: prints the name, and returns when it runs")
    .option("--rm", "remove the container when its command has ended")
    .option("--name <name>", "the container's name (default: made of the command's)")
    .option("-i, --interactive", "standard input is passed on anyway")
    .option("-t, --tty", "a terminal is given anyway, if there is one")
    .option("-T, --no-tty", "no terminal for the command, even if there is one");
  addNetworkOptions(command);
  addStartOptions(command);
  for (const flags of ELSEWHERE.keys()) command.addOption(new Option(flags).hideHelp());
  command
    .passThroughOptions()
    .addHelpText("after", HELP)
    .action(async (words: readonly string[], options: Options) => {
      process.exitCode = await attempt(() => run(words, options));
    });
}

function addNetworkOptions(command: Command): void {
  command
    .option(
      "--network <network>",
      "NAME[:ip=ADDRESS,mac=MAC,alias=NAME], host, none or container:NAME; may be given again (default: default)",
      collect,
    )
    .addOption(new Option("--net <network>").argParser(collect).hideHelp())
    .option("--network-alias <name>", "one more name on its networks; may be given again", collect)
    .option("--ip <address>", "its IPv4 address on its first network")
    .option("--ip6 <address>", "its IPv6 address there")
    .option("--mac-address <mac>", "its MAC address there")
    .option("-p, --publish <ports>", "[hostIP:]host:container[/udp], ranges too; may be given again", collect)
    .option("--dns <address>", "a resolver to ask in place of the host's; may be given again", collect)
    .option("--dns-search <domain>", "a domain that short names are looked for in; may be given again", collect)
    .option("--add-host <name:address>", "a name of /etc/hosts; may be given again", collect);
}

function addStartOptions(command: Command): void {
  command
    .option("-e, --env <variable>", "NAME=VALUE, or NAME for its value here; may be given again", collect)
    .option("-v, --volume <mount>", "HOST-PATH:PATH[:ro]; may be given again", collect)
    .option("-w, --workdir <path>", "the folder to start in (default: /)")
    .option("-u, --user <user>", "USER or USER:GROUP, by name or number (default: root)")
    .option("-h, --hostname <name>", "its host name (default: its name)")
    .option("--rootfs <folder>", "the folder that is its root (default: the host's root)")
    .option("--privileged", "with all rights of the host's root");
}

const HELP = `
In the foreground standard input, the terminal, Ctrl-C and the exit code are passed on, and what the command writes
is not kept for tsnet logs; 125: tsnet failed, 126: the command cannot be started, 127: there is no such command.

Examples:
  tsnet run --rm busybox ip address
  tsnet run -d --name web -p 8080:80 -v ./www:/srv:ro busybox httpd -f -h /srv
  tsnet run --rm --network hello.front curl -s http://web/`;

async function run(command: readonly string[], options: Options): Promise<number> {
  requireRoot("tsnet run");
  usePlugins(executeHere);
  const wanted = {
    name: options.name,
    command,
    specOf: specFrom(command, options, process.cwd()),
    autoRemove: options.rm === true,
  };
  const state = new State();
  if (options.detach === true) {
    printLine((await runDetached(wanted, state)).name);
    return 0;
  }
  return runAttached({ ...wanted, terminal: options.tty !== false && isTerminal() }, state);
}

async function attempt(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    reportError(error);
    const code = error instanceof StartError ? error.exitCode : undefined;
    return code === 126 || code === 127 ? code : FAILED;
  }
}

function collect(one: string, all: readonly string[] = []): readonly string[] {
  return [...all, one];
}
