/**
 * The `tsnet` command: loads the file of the subcommand that was typed and hands the rest to commander.
 *
 * Each subcommand is a file that exports `register(program)`. Only the one that is wanted is loaded; all of them
 * are where somebody asks for help or for completion, or mistyped.
 *
 * @module
 */
import { Command, CommanderError } from "commander";
import { optionElsewhere, refuseElsewhere } from "./elsewhere.ts";
import { EXIT, reportError, usageError } from "./output.ts";

interface CommandFile {
  register(program: Command): void;
  /** For a command whose arguments are not in commander's forms. */
  readonly rewrite?: (argv: readonly string[]) => readonly string[];
}

/** The subcommands, in the order in which help lists them. */
const files: ReadonlyMap<string, () => Promise<CommandFile>> = new Map([
  ["up", () => import("./up.ts")],
  ["down", () => import("./down.ts")],
  ["run", () => import("./run.ts")],
  ["stop", () => import("./stop.ts")],
  ["rm", () => import("./rm.ts")],
  ["ps", () => import("./ps.ts")],
  ["inspect", () => import("./inspect.ts")],
  ["logs", () => import("./logs.ts")],
  ["exec", () => import("./exec.ts")],
  ["cni", () => import("./cni.ts")],
  ["network", () => import("./network.ts")],
  ["proxy", () => import("./proxy.ts")],
  ["overlay", () => import("./overlay.ts")],
  ["install", () => import("./install.ts")],
  ["convert", () => import("./convert.ts")],
  ["completion", () => import("./completion.ts")],
  ["version", () => import("./version.ts")],
]);

const HELP = `
Called by the name of a CNI plugin, such as bridge, it is that plugin (tsnet version lists them), called as kube-proxy
it is tsnet proxy, called as flanneld tsnet overlay.

Example:
  tsnet up && tsnet ps`;

/** Runs `tsnet ARGV...` and returns the exit code: the one that the subcommand set, else 0, 1 or 2. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const [first] = argv;
  if (first === "help") return runCommand([...argv.slice(1), "--help"]);
  if (first === "-V" || first === "--version") return runCommand(["version", ...argv.slice(1)]);
  const program = newProgram();
  process.env.PATH = withSystemPrograms(process.env.PATH);
  try {
    if (!files.has(first ?? "")) refuseElsewhere(first);
    const rewrite = await load(program, first);
    await program.parseAsync([...argv.slice(0, 1), ...rewrite(argv.slice(1))], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : EXIT.ok;
  } catch (error) {
    return error instanceof CommanderError ? misread(error, program, argv) : reportError(error);
  }
}

/** After a plain `su` Debian's root has no sbin in PATH, where most of the programs are that we run. */
function withSystemPrograms(path = "/usr/bin:/bin"): string {
  return [...new Set([...path.split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"])].join(":");
}

function newProgram(): Command {
  return new Command("tsnet")
    .description("Container networking: CNI plugins, and networks for containers without a runtime")
    .option("-V, --version", "print the version")
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", HELP);
}

/** Registers the command that is wanted, or all, and returns what the wanted one's arguments pass through. */
async function load(program: Command, wanted: string | undefined): Promise<NonNullable<CommandFile["rewrite"]>> {
  const only = wanted === undefined || wanted === "completion" ? undefined : files.get(wanted);
  const loaded = await Promise.all([...(only === undefined ? files.values() : [only])].map((file) => file()));
  for (const file of loaded) file.register(program);
  return (only === undefined ? undefined : loaded[0]?.rewrite) ?? ((argv) => argv);
}

// commander throws for help and version too: those have been printed and are no failure.
function misread(error: CommanderError, program: Command, argv: readonly string[]): number {
  if (error.exitCode === 0) return EXIT.ok;
  if (error.code === "commander.help") return EXIT.usage;
  const [message = "", guess] = error.message.replace(/^error: |\.$/g, "").split("\n");
  const meant = /Did you mean (.+)\?/.exec(guess ?? "")?.[1];
  const command = typed(program, argv);
  const help = `see '${command} --help'`;
  const way = optionElsewhere(command, /^unknown option '(-[^=']+)/.exec(message)?.[1] ?? "");
  if (way !== undefined) return reportError(usageError(message, way));
  const [, most = "", given = ""] = /Expected (\d+) arguments? but got (\d+)/.exec(message) ?? [];
  if (most !== "")
    return reportError(
      usageError(`${command} takes ${most === "0" ? "no arguments" : `${most} at most`}, not ${given}`, help),
    );
  return reportError(usageError(message, meant === undefined ? help : `did you mean '${meant}'? Or ${help}`));
}

/** As much of the command line as names a command: `tsnet cni add`. */
function typed(program: Command, argv: readonly string[]): string {
  const names = [program.name()];
  let at: Command | undefined = program;
  for (const word of argv) {
    at = at.commands.find((command) => command.name() === word);
    if (at === undefined) break;
    names.push(word);
  }
  return names.join(" ");
}
