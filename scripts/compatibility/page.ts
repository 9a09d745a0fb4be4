/**
 * docs/cni-compatibility.md as text. Pure.
 *
 * @module
 */
import type { DocumentedPlugin } from "./keys.ts";

const HEAD = `# Compatibility with the reference CNI plugins

The reference plugins' own documentation, key by key: each row names the test that shows what ours does with it. The
page is written by \`npm run compatibility\` from a run in which all of these tests passed; \`npm run check\` fails when
a key has none.
`;

/** @throws Error if a plugin has no keys, or a key stands there twice. */
export function pageOf(plugins: readonly DocumentedPlugin[]): string {
  return [HEAD, ...plugins.map(sectionOf)].join("\n");
}

function sectionOf({ plugin, keys, differences }: DocumentedPlugin): string {
  if (keys.length === 0) throw new Error(`${plugin} has no keys`);
  const twice = keys.find(({ key }, index) => keys.findIndex((other) => other.key === key) !== index);
  if (twice !== undefined) throw new Error(`${plugin} has ${twice.key} twice`);
  const rows = keys.map(
    ({ key, file, title }) => `| \`${key}\` | [${file.replace("test/", "")}](../${file}): ${cell(title)} |`,
  );
  const different =
    differences.length === 0 ? [] : ["On purpose different:", "", ...differences.map((one) => `- ${one}`), ""];
  return [`## ${plugin}`, "", "| Key | Test |", "|---|---|", ...rows, "", ...different].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
