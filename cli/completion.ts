/**
 * `tsnet completion bash|zsh|fish`: what the shell needs to complete commands, options and their choices.
 *
 * The scripts are made from the commands themselves, so that they never say more or less than help does.
 *
 * @module
 */
import { Argument, type Command } from "commander";
import { bashScript, type CommandWords, fishScript, zshScript } from "./completion-scripts.ts";
import { printLine } from "./output.ts";

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export function register(program: Command): void {
  program
    .command("completion")
    .description("print the completion script of a shell")
    .addArgument(new Argument("<shell>", "whose").choices(Object.keys(scripts)))
    .addHelpText("after", EXAMPLE)
    .action((shell: keyof typeof scripts) => printLine(scripts[shell](wordsOf(program)).trimEnd()));
}

const EXAMPLE = `
Example:
  source <(tsnet completion bash)
  tsnet completion zsh > "\${fpath[1]}/_tsnet"
  tsnet completion fish > ~/.config/fish/completions/tsnet.fish`;

/** The words of a command and of all below it. */
export function wordsOf(command: Command, path: readonly string[] = []): readonly CommandWords[] {
  const below = command.commands;
  const options = command.createHelp().visibleOptions(command);
  return [
    {
      path: path.join(" "),
      subcommands: below.map((each) => ({ name: each.name(), description: each.description() })),
      options: options.map((option) => ({
        flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
        description: option.description,
        // One that may do without has it after "=" if at all: the next word is another.
        takesValue: option.required,
        choices: option.argChoices ?? [],
      })),
      values: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    },
    ...below.flatMap((each) => wordsOf(each, [...path, each.name()])),
  ];
}
