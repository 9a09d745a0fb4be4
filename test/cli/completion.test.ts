import { Command, Option } from "commander";
import { expect, test } from "vitest";
import { wordsOf } from "../../cli/completion.ts";
import { bashScript, fishScript, zshScript } from "../../cli/completion-scripts.ts";

const program = new Command("tsnet").helpCommand(false).description("all of it");
const cni = program.command("cni").helpCommand(false).description("it's CNI");
cni
  .command("add")
  .description("attach")
  .addOption(new Option("-o, --output <format>").choices(["table", "json"]))
  .option("--conf-dir <dir>", "where");
program.command("version").description("which").option("--short [value]", "less");

const words = wordsOf(program);

/** What bash offers for a line that ends where the cursor is. */
async function completed(line: string): Promise<readonly string[]> {
  const typed = line.split(" ");
  const script = `${bashScript(words)}
COMP_WORDS=(${typed.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${typed.length - 1}
_tsnet; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const child = Bun.spawn(["bash", "--norc", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await new Response(child.stdout).text();
  return text.split("\n").filter((word) => word !== "");
}

test("the words are the commands' own", () => {
  expect(words.map(({ path }) => path)).toEqual(["", "cni", "cni add", "version"]);
  expect(words[0]?.subcommands).toEqual([
    { name: "cni", description: "it's CNI" },
    { name: "version", description: "which" },
  ]);
});

test("bash completes commands, options and choices at every level", async () => {
  expect(await completed("tsnet ")).toEqual(["cni", "version", "--help"]);
  expect(await completed("tsnet c")).toEqual(["cni"]);
  expect(await completed("tsnet cni ")).toEqual(["add", "--help"]);
  expect(await completed("tsnet cni add --")).toEqual(["--output", "--conf-dir", "--help"]);
  expect(await completed("tsnet cni add --output ")).toEqual(["table", "json"]);
  expect(await completed("tsnet cni add -o j")).toEqual(["json"]);
  expect(await completed("tsnet cni add front --o")).toEqual(["--output"]);
});

test("bash leaves the value of any other option to file names", async () => {
  expect(await completed("tsnet cni add --conf-dir ")).toEqual([]);
});

test("an option that may do without a value takes no word of the line", async () => {
  expect(await completed("tsnet version --short --h")).toEqual(["--help"]);
  expect(fishScript(words)).toContain(`complete -c tsnet -n "__tsnet_at 'version'" -l short -d 'less'`);
});

test("zsh and fish are told the same words, with quotes kept apart", () => {
  expect(zshScript(words)).toContain(
    `"") offered=('cni:it'\\''s CNI' 'version:which' '--help:display help for command') ;;`,
  );
  expect(zshScript(words)).toContain(`"cni add:-o"|"cni add:--output") offered=(table json) ;;`);
  expect(fishScript(words)).toContain(`complete -c tsnet -n "__tsnet_at ''" -f -a cni -d 'it\\'s CNI'`);
  expect(fishScript(words)).toContain(`complete -c tsnet -n "__tsnet_at 'cni add'" -s o -l output -x -a "table json"`);
});
