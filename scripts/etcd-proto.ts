/**
 * A bundler plugin that puts etcd's protocol into the bundle.
 *
 * etcd3 reads and parses `rpc.proto` from its folder as it is loaded, which an executable does not have. In the bundle
 * stands what the parser made of it, of the services that we call alone, and what makes clients of that
 * (`etcd-definition.ts`).
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import type { Plugin } from "esbuild";
import type { Packages } from "./etcd-definition.ts";

const SERVICES = ["KV", "Watch", "Lease", "Auth"];
const LOADER = '("@grpc/proto-loader")';
const READ = /\(0, proto_loader_1\.loadSync\)\(`\$\{__dirname\}\/\.\.\/proto\/rpc\.proto`,/;
const DEFINITION = resolve(import.meta.dirname, "etcd-definition.ts");

export const etcdProtocol: Plugin = {
  name: "etcd-protocol",
  setup(build) {
    build.onLoad({ filter: /etcd3\/lib\/connection-pool\.js$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      const json = JSON.stringify(protocol(resolve(dirname(path), "../proto/rpc.proto"), path));
      const call = `(0, proto_loader_1.definitionOf)(require("protobufjs/light"), ${json},`;
      if (!READ.test(source) || !source.includes(LOADER)) throw new Error(`${path} reads its protocol in another way`);
      const contents = source.replace(LOADER, `(${JSON.stringify(DEFINITION)})`).replace(READ, () => call);
      return { contents, loader: "js" };
    });
  },
};

/** What protobufjs writes down (`Root.toJSON`); it is a dependency of etcd3's, not ours. */
interface Namespace {
  readonly nested?: Readonly<Record<string, Entry>>;
}
interface Entry extends Namespace {
  readonly methods?: Readonly<Record<string, { readonly requestType: string; readonly responseType: string }>>;
  readonly fields?: Readonly<Record<string, { readonly type: string }>>;
}
interface Protobuf {
  readonly Root: new () => { loadSync(path: string, options: object): { toJSON(): Namespace } };
}

function protocol(path: string, importer: string): Packages {
  const protobuf: Protobuf = createRequire(importer)("protobufjs");
  const { nested: packages = {} } = new protobuf.Root().loadSync(path, { keepCase: true }).toJSON();
  const types = new Map(Object.values(packages).flatMap(({ nested = {} }) => Object.entries(nested)));
  const needed = new Set<string>();
  for (const service of SERVICES) need(service, types, needed);
  const kept = Object.entries(packages).map(([name, { nested = {} }]) => [name, { nested: only(nested, needed) }]);
  return { nested: Object.fromEntries(kept) };
}

/** Adds a type's name, and those of what it is made of. */
function need(name: string, types: ReadonlyMap<string, Entry>, needed: Set<string>): void {
  const entry = types.get(name);
  if (entry === undefined || needed.has(name)) return;
  needed.add(name);
  for (const part of partsOf(entry)) need(part.slice(part.lastIndexOf(".") + 1), types, needed);
}

function partsOf({ methods = {}, fields = {}, nested = {} }: Entry): readonly string[] {
  return [
    ...Object.values(methods).flatMap(({ requestType, responseType }) => [requestType, responseType]),
    ...Object.values(fields).map(({ type }) => type),
    ...Object.values(nested).flatMap(partsOf),
  ];
}

function only(all: Readonly<Record<string, Entry>>, names: ReadonlySet<string>): Readonly<Record<string, Entry>> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => names.has(name)));
}
