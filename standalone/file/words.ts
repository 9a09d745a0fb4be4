/**
 * A container of the command line: its options, read as if they stood in a file, so that both have one meaning, one
 * check and one wording.
 *
 * @module
 */
import { readContainer } from "./container.ts";
import type { ContainerSpec } from "./project.ts";
import { Source } from "./yaml.ts";

export interface Words {
  readonly name: string;
  /** Keys and values as a file has them. */
  readonly keys: Readonly<Record<string, unknown>>;
  /** Where relative paths start. */
  readonly folder: string;
  /** The option that a key stands for: `--publish`. */
  readonly optionOf: (key: string) => string;
}

/** @throws TsnetError `invalid` with a line for each option that is wrong. */
export function readWords({ name, keys, folder, optionOf }: Words): ContainerSpec {
  // What is JSON is YAML, too.
  const source = new Source(JSON.stringify({ [name]: keys }), "", (what, text) => {
    const path = what.slice(name.length + 1);
    const ofJoin = /^networks\..*\.(address|mac|aliases)\b/.exec(path)?.[1];
    const key = what === name ? "name" : (ofJoin ?? path.replace(/[.[].*$/, ""));
    return `${optionOf(key)}: ${text}`;
  });
  const [spec] = source.root.entries("a container").map((entry) => readContainer(entry, folder));
  source.finish();
  // Nothing was read where something is wrong, and that has been thrown.
  if (spec === undefined) throw new Error(`no container ${name}`);
  return spec;
}
