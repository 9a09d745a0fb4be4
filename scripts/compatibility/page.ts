/**
 * docs/cni-compatibility.md as text. Pure.
 *
 * @module
 */
import { titleOf } from "./title.ts";
import type { DocumentedPlugin, Shown } from "./types.ts";

const HEAD = `# Compatibility with the reference CNI plugins

Every key that the [reference plugins' documentation](https://www.cni.dev/plugins/current/) gives a meaning, or the
source of their release 1.9.1 where that is silent, with the tests that show what ours does with it. What
[our own page](plugins.md) says of a plugin comes on top.

This page is written by \`npm run compatibility\`, from a run in which all of these tests passed; \`npm run check\` fails
for a key that has none.
`;

/** @throws Error if a plugin has no keys, a key has no test, or a plugin stands there twice. */
export function pageOf(plugins: readonly DocumentedPlugin[]): string {
  const twice = plugins.find(({ plugin }, at) => plugins.findIndex((other) => other.plugin === plugin) !== at);
  if (twice !== undefined) throw new Error(`${twice.plugin} stands there twice`);
  const [first, ...others] = plugins.map(({ plugin }) => `[${plugin}](#${anchorOf(plugin)})`);
  const contents = `${[first, ...others].join(" · ")}\n`;
  return [HEAD, contents, ...plugins.map(sectionOf)].join("\n");
}

function sectionOf({ plugin, page, keys, differences }: DocumentedPlugin): string {
  const entries = Object.entries(keys);
  if (entries.length === 0) throw new Error(`${plugin} has no keys`);
  const rows = entries.map(([key, tests]) => rowOf(plugin, key, tests));
  const documentation =
    page === undefined ? [] : [`[The reference's page](https://www.cni.dev/plugins/current/${page}/).`, ""];
  const different =
    differences.length === 0 ? [] : ["Different on purpose:", "", ...differences.map((one) => `- ${one}`), ""];
  return [`## ${plugin}`, "", ...documentation, "| Key | Shown by |", "|---|---|", ...rows, "", ...different].join(
    "\n",
  );
}

function rowOf(plugin: string, key: string, tests: readonly Shown[]): string {
  if (tests.length === 0) throw new Error(`${plugin}: no test of ${key}`);
  const shown = tests.map((test) => {
    const { group } = test;
    const said = group === undefined ? titleOf(test) : `${titleOf({ title: group })}: ${titleOf(test)}`;
    return `${said} ([${test.file.replace(/^test\/|\.test\.ts$/g, "")}](../${test.file}))`;
  });
  return `| ${key.startsWith("/") || !/[ ,]/.test(key) ? `\`${key}\`` : key} | ${shown.map(cell).join("<br>")} |`;
}

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(" ", "-");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
