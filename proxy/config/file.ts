/**
 * A KubeProxyConfiguration as text, into values by path. A key that nobody knows is named with the nearest one that
 * is known, and left out, as kube-proxy does; a value that makes no sense is an error, and all of them are told.
 *
 * @module
 */
import { parseDocument } from "yaml";
import { FORMS, type Value, valueOfData } from "../../lib/daemon/kinds.ts";
import { suggest } from "../../lib/suggest.ts";
import { API_VERSION, isPath, KIND, keyOf, type Path, paths } from "./keys.ts";

/** What a reader found. */
export interface Findings {
  /** Each makes the whole configuration unusable. */
  readonly problems: string[];
  /** Each is left out or changes nothing. */
  readonly warnings: string[];
}

/** The values that `text`, YAML or JSON, sets: no defaults, and nothing for null or for a zero that means unset. */
export function readConfiguration(text: string, { problems, warnings }: Findings): ReadonlyMap<Path, Value> {
  const values = new Map<Path, Value>();
  const document = parseDocument(text, { version: "1.1", prettyErrors: true, stringKeys: true });
  for (const { code, message } of document.errors) {
    (code === "DUPLICATE_KEY" ? warnings : problems).push(message.trimEnd());
  }
  if (problems.length > 0) return values;
  const root: unknown = document.toJS();
  if (!isMap(root)) {
    problems.push(`it is no mapping of keys: it begins with apiVersion: ${API_VERSION} and kind: ${KIND}`);
    return values;
  }
  const { apiVersion, kind, ...rest } = root;
  if (apiVersion !== API_VERSION) problems.push(`apiVersion: it is ${shown(apiVersion)}, known is ${API_VERSION}`);
  if (kind !== KIND) problems.push(`kind: it is ${shown(kind)}, wanted is ${KIND}`);
  walk(rest, "", { problems, warnings }, values);
  return values;
}

function walk(map: Fields, prefix: string, findings: Findings, values: Map<Path, Value>): void {
  for (const [name, data] of Object.entries(map)) {
    const path = prefix + name;
    if (isPath(path)) readKey(path, data, findings, values);
    else if (!isSection(path)) findings.warnings.push(unknown(path));
    else if (isMap(data)) walk(data, `${path}.`, findings, values);
    else if (data !== null) findings.problems.push(`${path}: it is ${shown(data)}, wanted are keys below it`);
  }
}

function readKey(path: Path, data: unknown, { problems }: Findings, values: Map<Path, Value>): void {
  if (data === null) return;
  const key = keyOf(path);
  const value = valueOfData(key.kind, data);
  if (value === undefined) problems.push(`${path}: it is ${shown(data)}, wanted is ${FORMS[key.kind]}`);
  else if (key.unset === undefined || !isZero(value)) values.set(path, value);
}

function unknown(path: string): string {
  const nearest = suggest(path, [...paths, ...sections()]);
  return `${path}: no such key${nearest === undefined ? "" : `, the nearest is ${nearest}`}; it is left out`;
}

/** Whether keys lie below `path`: `conntrack`, `logging.options`. */
function isSection(path: string): boolean {
  return sections().has(path);
}

function sections(): ReadonlySet<string> {
  return new Set(paths.flatMap((path) => path.split(".").map((_, at, parts) => parts.slice(0, at).join("."))));
}

function isZero(value: Value): boolean {
  return value === 0 || value === "" || value === false;
}

type Fields = Readonly<Record<string, unknown>>;

function isMap(data: unknown): data is Fields {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}

function shown(data: unknown): string {
  return data === undefined ? "missing" : JSON.stringify(data);
}
