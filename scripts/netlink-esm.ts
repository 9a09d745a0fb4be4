/**
 * A bundler plugin that gives the `netlink` package's codecs the form of ES modules.
 *
 * The package ships CommonJS, of which a bundler must keep every one of some thousand functions; loading them
 * all costs a plugin call 2.8 ms. As ES modules all but the few that we call are dropped.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";

export const netlinkAsModules: Plugin = {
  name: "netlink-esm",
  setup(build) {
    build.onLoad({ filter: /netlink\/dist\/(structs|rt\/(gen_structs|ifla|structs))\.js$/ }, ({ path }) => ({
      contents: toModule(readFileSync(path, "utf8")),
      loader: "js",
    }));
  },
};

/** Rewrites the regular CommonJS that TypeScript emits; a bundle of anything else fails to resolve its imports. */
export function toModule(source: string): string {
  const start = source.indexOf('Object.defineProperty(exports, "__esModule", { value: true });');
  return source
    .slice(start)
    .replace(/^Object\.defineProperty\(exports.*$/m, "")
    .replace(/^exports\.\w+ = (exports\.\w+ = )+void 0;$/gm, "")
    .replace(/^const (\w+) = __importStar\(require\("(.+)"\)\);$/gm, 'import * as $1 from "$2";')
    .replace(/^const (\w+) = require\("(.+)"\);$/gm, 'import * as $1 from "$2";')
    .replace(/^__exportStar\(require\("(.+)"\), exports\);$/gm, 'export * from "$1";')
    .replace(
      /^var (\w+);\n\(function \(\1\) \{\n([\s\S]*?)\n\}\)\(\1 = exports\.\1 \|\| \(exports\.\1 = \{\}\)\);$/gm,
      "export const $1 = /* @__PURE__ */ (function ($1) {\n$2\nreturn $1; })({});",
    )
    .replace(/^exports\.(\w+) = \1;$/gm, "export { $1 };")
    .replace(/^exports\.(\w+) = (?=.)/gm, "export const $1 = ")
    .replace(/\bexports\.(\w+)/g, "$1");
}
