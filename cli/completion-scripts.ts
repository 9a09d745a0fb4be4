/**
 * The completion scripts. Each finds out which command the words so far name, then offers its subcommands and
 * options; the value of an option is one of its choices, or a file.
 *
 * @module
 */
/** A command, as a shell has to know it. */
export interface CommandWords {
  /** The words before: `cni add`; empty for tsnet itself. */
  readonly path: string;
  readonly subcommands: readonly Word[];
  readonly options: readonly OptionWords[];
  /** What its argument may be, where that is a fixed choice. */
  readonly values: readonly string[];
}

export interface Word {
  readonly name: string;
  readonly description: string;
}

export interface OptionWords {
  /** `-o` and `--output`, as far as there are both. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** For bash 4 and later. */
export function bashScript(commands: readonly CommandWords[]): string {
  return `# bash completion of tsnet
_tsnet() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${patterns(commands)}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path:$prev" in
${optionCases(commands, (choices) => `words="${choices.join(" ")}"`)}
    *) case "$path" in
${commands.map((each) => `      "${each.path}") words="${offered(each).join(" ")}" ;;`).join("\n")}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _tsnet tsnet
`;
}

/** For zsh: to be put into a directory of fpath as _tsnet, or sourced after compinit. */
export function zshScript(commands: readonly CommandWords[]): string {
  return `#compdef tsnet
_tsnet() {
  local prev=\${words[CURRENT-1]} at="" word
  local -a offered
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "\${at:+$at }$word" in
      ${patterns(commands)}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at:$prev" in
${optionCases(commands, (choices) => `offered=(${choices.join(" ")})`, "_files; return")}
    *) case "$at" in
${commands.map((each) => `      "${each.path}") offered=(${described(each)}) ;;`).join("\n")}
    esac ;;
  esac
  _describe -t values tsnet offered || _files
}
if [[ $funcstack[1] == _tsnet ]]; then _tsnet "$@"; else compdef _tsnet tsnet; fi
`;
}

/** For fish 3 and later. */
export function fishScript(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap((each) => {
    const here = `complete -c tsnet -n "__tsnet_at '${each.path}'"`;
    return [
      ...each.subcommands.map((word) => `${here} -f -a ${word.name} -d ${fishQuoted(word.description)}`),
      ...each.values.map((value) => `${here} -f -a ${value}`),
      ...each.options.map((option) => `${here}${fishOption(option)} -d ${fishQuoted(option.description)}`),
    ];
  });
  return `# fish completion of tsnet
function __tsnet_at
  set -l at
  for word in (commandline -opc)[2..]
    switch "$at $word"
      case ${pathsOf(commands)
        .map((path) => `"${path.includes(" ") ? path : ` ${path}`}"`)
        .join(" ")}
        set at (string trim "$at $word")
    end
  end
  test "$at" = "$argv[1]"
end
${lines.join("\n")}
`;
}

function patterns(commands: readonly CommandWords[]): string {
  return pathsOf(commands)
    .map((path) => `"${path}"`)
    .join("|");
}

function pathsOf(commands: readonly CommandWords[]): readonly string[] {
  return commands.map(({ path }) => path).filter((path) => path !== "");
}

/** One case for each option that takes a value: its choices, or nothing, which leaves it to file names. */
function optionCases(
  commands: readonly CommandWords[],
  choose: (choices: readonly string[]) => string,
  otherwise = ":",
): string {
  return commands
    .flatMap(({ path, options }) =>
      options
        .filter(({ takesValue }) => takesValue)
        .map(({ flags, choices }) => {
          const pattern = flags.map((flag) => `"${path}:${flag}"`).join("|");
          return `    ${pattern}) ${choices.length === 0 ? otherwise : choose(choices)} ;;`;
        }),
    )
    .join("\n");
}

function offered({ subcommands, options, values }: CommandWords): readonly string[] {
  return [...subcommands.map(({ name }) => name), ...values, ...options.flatMap(({ flags }) => flags.slice(-1))];
}

function described({ subcommands, options, values }: CommandWords): string {
  const words: readonly Word[] = [
    ...subcommands,
    ...values.map((name) => ({ name, description: "" })),
    ...options.map(({ flags, description }) => ({ name: flags.at(-1) ?? "", description })),
  ];
  return words.map(({ name, description }) => quoted(`${name}:${description}`)).join(" ");
}

function fishOption({ flags, takesValue, choices }: OptionWords): string {
  const names = flags.map((flag) => (flag.startsWith("--") ? ` -l ${flag.slice(2)}` : ` -s ${flag.slice(1)}`)).join("");
  if (!takesValue) return names;
  return choices.length === 0 ? `${names} -r` : `${names} -x -a "${choices.join(" ")}"`;
}

/** As one word of bash or zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** As one word of fish, whose single quotes know two escapes. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
