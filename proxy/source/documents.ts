/**
 * The objects of one manifest file: YAML documents or JSON, lists of objects too.
 *
 * The text is taken document by document, and those that are JSON are parsed as such: a file may hold a whole
 * cluster's objects, and YAML trees of them would take a hundred times the file's size.
 *
 * @module
 */
import { LineCounter, parseAllDocuments } from "yaml";
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { asObject, type Fields, objectIn, textIn } from "../objects/fields.ts";
import { parseNode } from "../objects/node.ts";
import { parseService } from "../objects/service.ts";
import { parseServiceCidr } from "../objects/servicecidr.ts";
import { parseSlice } from "../objects/slice.ts";
import type { Kind, ObjectOf, Sink } from "./source.ts";

/** An object of a file. */
export interface Manifest {
  readonly kind: Kind;
  readonly key: string;
  deliver(sink: Sink): void;
}

/** Is told of entries that are left out, and of documents that are passed over. */
export interface Remarks {
  problem(text: string): void;
  passedOver(text: string): void;
}

/**
 * All objects of the kinds that a proxy reads, in the order of the file; those that cannot be read will say so to
 * the sink.
 *
 * @param file names the file in messages.
 * @throws TsnetError `invalid`, with line and column, if it is no YAML or JSON.
 */
export function readManifests(text: string, file: string, remarks: Remarks): readonly Manifest[] {
  const objects = documentsOf(text, file).flatMap((document) => itemsOf(document));
  return objects.flatMap((object, i) => manifestOf(object, `${file}#${i + 1}`, remarks) ?? []);
}

const SEPARATOR = /^---(?=\s|$)/m;
/** Directives stand before the separator of the document that they are for. */
const DIRECTIVE = /^%/m;

function documentsOf(text: string, file: string): readonly unknown[] {
  const parts = DIRECTIVE.test(text) ? [text] : text.split(SEPARATOR);
  let line = 0;
  return parts.flatMap((part) => {
    const documents = parsePart(part, file, line);
    line += part.split("\n").length - 1;
    return documents;
  });
}

function parsePart(part: string, file: string, firstLine: number): readonly unknown[] {
  const trimmed = part.trim();
  if (trimmed === "") return [];
  if (trimmed.startsWith("{")) {
    try {
      return [JSON.parse(trimmed)];
    } catch {
      // YAML has such mappings too; if it is none either, YAML's complaint has a line.
    }
  }
  const lineCounter = new LineCounter();
  return [parseAllDocuments(part, { version: "1.2", lineCounter, prettyErrors: false, stringKeys: true })]
    .flat()
    .map((document) => {
      const [error] = document.errors;
      if (error === undefined) return document.toJS();
      const { line, col } = lineCounter.linePos(error.pos[0]);
      throw new TsnetError(`${file}:${firstLine + line}:${col}: ${error.message}`, {
        code: "invalid",
        op: "read file",
      });
    });
}

/** What `kubectl get -o yaml` writes is one List; empty documents are none. */
function itemsOf(document: unknown): readonly unknown[] {
  if (document === null || document === undefined) return [];
  if (typeof document !== "object" || !("kind" in document) || !("items" in document)) return [document];
  const { kind, items } = document;
  return typeof kind === "string" && kind.endsWith("List") && Array.isArray(items)
    ? items.flatMap(itemsOf)
    : [document];
}

type Parse<K extends Kind> = (raw: unknown, problems?: (text: string) => void) => ObjectOf[K] | undefined;

const PARSERS: { readonly [K in Kind]: Parse<K> } = {
  Service: parseService,
  EndpointSlice: parseSlice,
  ServiceCIDR: parseServiceCidr,
  Node: parseNode,
};

/** Others are of other programs, among them things of the same kind in another group. */
const KINDS: Readonly<Record<string, Kind>> = {
  "v1 Service": "Service",
  "discovery.k8s.io/v1 EndpointSlice": "EndpointSlice",
  "networking.k8s.io/v1 ServiceCIDR": "ServiceCIDR",
  "networking.k8s.io/v1beta1 ServiceCIDR": "ServiceCIDR",
  "v1 Node": "Node",
};

function manifestOf(raw: unknown, place: string, remarks: Remarks): Manifest | undefined {
  let what: string | undefined;
  try {
    const object = asObject(raw);
    what = `${textIn(object, "apiVersion") ?? "no apiVersion"} ${textIn(object, "kind") ?? "no kind"}`;
    const kind = Object.hasOwn(KINDS, what) ? KINDS[what] : undefined;
    if (kind !== undefined) return readAs(kind, object, place, remarks);
    remarks.passedOver(`${place}: ${what}`);
  } catch (error) {
    if (!isTsnetError(error, "invalid")) throw error;
    remarks.problem(`${place} is no object of Kubernetes: ${error.message}`);
  }
  return undefined;
}

function readAs<K extends Kind>(kind: K, raw: Fields, place: string, remarks: Remarks): Manifest {
  const key = keyOf(kind, raw) ?? place;
  try {
    const parse: Parse<K> = PARSERS[kind];
    const object = parse(raw, (text) =>
      remarks.problem(`${kind} ${key} (${place}) has an entry that is left out: ${text}`),
    );
    const deliver = (sink: Sink) => (object === undefined ? sink.delete(kind, key) : sink.set(kind, key, object));
    return { kind, key, deliver };
  } catch (error) {
    const reason = `${place}: ${messageOf(error)}`;
    return { kind, key, deliver: (sink) => sink.malformed(kind, key, reason) };
  }
}

/** Undefined if it has no name that could be read. */
function keyOf(kind: Kind, raw: Fields): string | undefined {
  try {
    const metadata = objectIn(raw, "metadata");
    const name = textIn(metadata, "name");
    if (name === undefined || kind === "Node" || kind === "ServiceCIDR") return name;
    return `${textIn(metadata, "namespace") ?? "default"}/${name}`;
  } catch {
    return undefined;
  }
}
