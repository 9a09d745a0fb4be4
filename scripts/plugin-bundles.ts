/**
 * A bundle for each plugin, whole and flat: a process that answers one call and ends pays for every file that it opens
 * and for every module that is wrapped so that it can come later, and gains nothing by either.
 *
 * In the sources what is needed rarely is imported where it is needed, for the sake of the processes that stay.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";
import { pluginNames } from "../plugins/names.ts";

/** Entry points of `plugin-<name>.cjs`, to be read by {@link pluginModules}. */
export const pluginEntries: Readonly<Record<string, string>> = Object.fromEntries(
  pluginNames.map((name) => [`plugin-${name}`, `plugin:${name}`]),
);

/** What stands in the place of cli/plugins.ts: there, the one plugin of a bundle; in the executable's door, a choice. */
export const pluginModules: Plugin = {
  name: "plugin-modules",
  setup(build) {
    const root = `${import.meta.dirname}/..`;
    build.onResolve({ filter: /^plugin:/ }, ({ path }) => ({ path, namespace: "plugin" }));
    build.onLoad({ filter: /.*/, namespace: "plugin" }, ({ path }) => {
      const name = path.slice("plugin:".length);
      return { contents: name === "" ? choice() : alone(name), resolveDir: `${root}/cli` };
    });
    build.onResolve({ filter: /^\.\/plugins\.ts$/ }, () => ({ path: "plugin:", namespace: "plugin" }));
    build.onResolve({ filter: /^\.\/plugin-[a-z-]+\.cjs$/ }, ({ path }) => ({ path, external: true }));
  },
};

/** Makes the imports that our files make on their way imports from the start. Of `apart`, nothing is touched. */
export function importAtOnce(apart: readonly string[]): Plugin {
  return {
    name: "import-at-once",
    setup(build) {
      build.onLoad({ filter: /\/(plugins|lib)\/.*\.ts$/ }, ({ path }) => ({
        contents: atOnce(readFileSync(path, "utf8"), apart),
        loader: "ts",
      }));
    },
  };
}

function atOnce(source: string, apart: readonly string[]): string {
  const imports: string[] = [];
  const text = source.replace(
    /(await )?\bimport\("(\.[^"]+\.ts)"\)/g,
    (whole, waits: string | undefined, file: string) => {
      if (apart.includes(file)) return whole;
      const name = `imported${imports.length}`;
      imports.push(`import * as ${name} from "${file}";`);
      return waits === undefined ? `Promise.resolve(${name})` : name;
    },
  );
  // On one line with the first of the file, so that line numbers stay.
  return `${imports.join("")}${text}`;
}

function alone(name: string): string {
  return `
    import { serve } from "../lib/cni/serve.ts";
    import { plugin } from "../plugins/${name}/main.ts";
    export const servePlugin = (_name, versions) => serve(plugin, versions);`;
}

function choice(): string {
  const cases = pluginNames.map(
    (name) => `case "${name}": return require("./plugin-${name}.cjs").servePlugin(name, versions);`,
  );
  return `export function servePlugin(name, versions) { switch (name) { ${cases.join("\n")} } }`;
}
