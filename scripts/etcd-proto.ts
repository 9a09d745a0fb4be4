/**
 * A bundler plugin that puts etcd's protocol into the bundle.
 *
 * etcd3 reads and parses `rpc.proto` from its folder as it is loaded, which an executable does not have. In the bundle
 * stands what the parser made of it, of the services that we call alone, and what makes clients of that
 * (`etcd-definition.ts`), without the parser.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import type { Plugin } from "esbuild";
import type { Protocol } from "./etcd-definition.ts";
import type { Field } from "./etcd-messages.ts";

const PACKAGE = "etcdserverpb";
const SERVICES = ["KV", "Watch", "Lease", "Auth"];
const LOADER = '("@grpc/proto-loader")';
const READ = /\(0, proto_loader_1\.loadSync\)\(`\$\{__dirname\}\/\.\.\/proto\/rpc\.proto`, \{[^}]*\}\)/;
const DEFINITION = resolve(import.meta.dirname, "etcd-definition.ts");

export const etcdProtocol: Plugin = {
  name: "etcd-protocol",
  setup(build) {
    build.onLoad({ filter: /etcd3\/lib\/connection-pool\.js$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      const json = JSON.stringify(readProtocol(resolve(dirname(path), "../proto/rpc.proto"), path));
      const call = `(0, proto_loader_1.definitionOf)(${json})`;
      if (!READ.test(source) || !source.includes(LOADER)) throw new Error(`${path} reads its protocol in another way`);
      const contents = source.replace(LOADER, `(${JSON.stringify(DEFINITION)})`).replace(READ, () => call);
      return { contents, loader: "js" };
    });
  },
};

/** What is used of protobufjs, which is a dependency of etcd3's, not ours. */
export interface Protobuf {
  readonly Root: new () => { loadSync(path: string, options: object): Root };
}
interface Root {
  resolveAll(): void;
  lookupService(name: string): { readonly methodsArray: readonly Method[] };
}
interface Method {
  readonly name: string;
  readonly requestStream?: boolean;
  readonly responseStream?: boolean;
  readonly resolvedRequestType: Type;
  readonly resolvedResponseType: Type;
}
interface Type {
  readonly fullName: string;
  readonly fieldsArray: readonly TypeField[];
}
interface TypeField {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly repeated: boolean;
  readonly map: boolean;
  readonly partOf: { readonly name: string } | null;
  readonly resolvedType: Type | { readonly values: Readonly<Record<string, number>> } | null;
}

/** Reads a protocol file. `importer` is whoever has protobufjs. @throws Error for what `etcd-messages.ts` does not know. */
export function readProtocol(path: string, importer: string): Protocol {
  const protobuf: Protobuf = createRequire(importer)("protobufjs");
  const root = new protobuf.Root().loadSync(path, { keepCase: true });
  root.resolveAll();
  const messages = new Map<string, readonly Field[]>();
  const services = SERVICES.map((service) => {
    const { methodsArray } = root.lookupService(`${PACKAGE}.${service}`);
    for (const { resolvedRequestType, resolvedResponseType } of methodsArray) {
      for (const type of [resolvedRequestType, resolvedResponseType]) addMessage(type, messages);
    }
    return [`${PACKAGE}.${service}`, methodsArray.map(methodOf)] as const;
  });
  return { services: Object.fromEntries(services), messages: Object.fromEntries(messages) };
}

function methodOf({ name, resolvedRequestType, resolvedResponseType, ...streams }: Method) {
  const { requestStream = false, responseStream = false } = streams;
  const [request, response] = [nameOf(resolvedRequestType), nameOf(resolvedResponseType)];
  return { name, request, response, requestStream, responseStream };
}

/** With the messages that it is made of. */
function addMessage(type: Type, messages: Map<string, readonly Field[]>): void {
  if (messages.has(nameOf(type))) return;
  messages.set(nameOf(type), type.fieldsArray.map(fieldOf));
  for (const { resolvedType } of type.fieldsArray) {
    if (resolvedType !== null && "fieldsArray" in resolvedType) addMessage(resolvedType, messages);
  }
}

/** `etcdserverpb.TxnRequest`: protobufjs has a dot before it. */
function nameOf({ fullName }: Type): string {
  return fullName.slice(1);
}

function fieldOf(field: TypeField): Field {
  const { id, name, repeated, partOf } = field;
  const more = { ...(repeated ? { repeated } : {}), ...(partOf === null ? {} : { oneof: partOf.name }) };
  return { id, name, ...kindOf(field), ...more };
}

function kindOf({ name, type, map, resolvedType }: TypeField): Pick<Field, "type" | "of" | "names"> {
  if (map) throw new Error(`the field ${name} is a map, which the bundle's protocol knows nothing of`);
  if (resolvedType === null) return { type: scalarOf(name, type) };
  if ("fieldsArray" in resolvedType) return { type: "message", of: nameOf(resolvedType) };
  const names: string[] = [];
  for (const [value, number] of Object.entries(resolvedType.values)) names[number] = value;
  return { type: "enum", names };
}

function scalarOf(name: string, type: string): Field["type"] {
  const known = (["bytes", "string", "bool", "int64", "uint64"] as const).find((one) => one === type);
  if (known === undefined) throw new Error(`the field ${name} is of ${type}, which the bundle's protocol knows not`);
  return known;
}
