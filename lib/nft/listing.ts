/**
 * Reads `nft -j list ...` (libnftables-json(5)) into the types of nft.ts. Keys and values become the text that a
 * transaction would write, so that what was written can be looked for in what is there.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { NftBaseChain, NftChain, NftElement, NftRule, NftSet, NftTable } from "./nft.ts";
import type { NftFamily, NftHook, NftTableName } from "./specs.ts";

type Json = Readonly<Record<string, unknown>>;

/** The first table in the text of `nft -j list table`, or undefined if there is none. */
export function parseTable(text: string): NftTable | undefined {
  const items = parseItems(text);
  const found = items.find((item) => item.kind === "table");
  if (found === undefined) return undefined;
  const chains = new Map<string, NftChain & { rules: NftRule[] }>();
  const sets = new Map<string, NftSet>();
  for (const { kind, body } of items) {
    if (kind === "chain") chains.set(textOf(body, "name"), { ...parseChain(body), rules: [] });
    if (kind === "set" || kind === "map") sets.set(textOf(body, "name"), parseSet(kind, body));
  }
  for (const { kind, body } of items) {
    if (kind === "rule") chains.get(textOf(body, "chain"))?.rules.push(parseRule(body));
  }
  return { family: familyOf(found.body), table: textOf(found.body, "name"), chains, sets };
}

/** The tables in the text of `nft -j list tables`. */
export function parseTables(text: string): readonly NftTableName[] {
  return parseItems(text)
    .filter((item) => item.kind === "table")
    .map(({ body }) => ({ family: familyOf(body), table: textOf(body, "name") }));
}

/** The chains with a hook in the text of `nft -j list chains`. */
export function parseBaseChains(text: string): readonly NftBaseChain[] {
  const found: NftBaseChain[] = [];
  for (const { kind, body } of parseItems(text)) {
    if (kind !== "chain") continue;
    const { chain, hook } = parseChain(body);
    if (hook !== undefined) found.push({ family: familyOf(body), table: textOf(body, "table"), chain, hook });
  }
  return found;
}

function parseItems(text: string): readonly { readonly kind: string; readonly body: Json }[] {
  return asArray(asObject(parseJson(text)).nftables).flatMap((item) =>
    Object.entries(asObject(item)).map(([kind, body]) => ({ kind, body: asObject(body) })),
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unexpected("something other than JSON");
  }
}

function parseChain(body: Json): Omit<NftChain, "rules"> {
  const chain = textOf(body, "name");
  const { type, hook, prio, policy } = body;
  if (typeof type !== "string" || typeof hook !== "string" || typeof prio !== "number") return { chain };
  // The words are the kernel's own, and more of them may come than we ever write.
  const parsed = { type: type as NftHook["type"], hook: hook as NftHook["hook"], priority: prio };
  return { chain, hook: policy === "accept" || policy === "drop" ? { ...parsed, policy } : parsed };
}

function parseRule(body: Json): NftRule {
  const handle = Number(body.handle);
  const expressions = asArray(body.expr ?? []);
  return { handle, expressions, ...commentOf(body) };
}

function parseSet(kind: "set" | "map", body: Json): NftSet {
  const keyTypes = typesOf(body.type);
  const valueTypes = typesOf(body.map);
  const elements = asArray(body.elem ?? []).map((item): NftElement => {
    const [key, value] = kind === "map" ? asArray(item) : [item];
    const element = isObject(key) && isObject(key.elem) ? key.elem : { val: key };
    const parsed = { key: valueText(element.val, keyTypes), ...commentOf(element) };
    return kind === "map" ? { ...parsed, value: valueText(value, valueTypes) } : parsed;
  });
  const flags = asArray(body.flags ?? []).map(String);
  return { set: textOf(body, "name"), kind, flags, elements, ...commentOf(body) };
}

/** The type of each field, `["ipv4_addr", "inet_service"]`; newer versions repeat a set's `typeof` expressions instead. */
function typesOf(type: unknown): readonly string[] {
  if (typeof type === "string") return type.split(" . ");
  if (Array.isArray(type)) return type.map(String);
  const expression = isObject(type) ? type.typeof : undefined;
  const fields = isObject(expression) && "concat" in expression ? asArray(expression.concat) : [expression];
  return fields.map((field) => {
    const meta = isObject(field) ? field.meta : undefined;
    const key = isObject(meta) ? meta.key : undefined;
    return key === "iifname" || key === "oifname" ? "ifname" : "";
  });
}

function valueText(value: unknown, types: readonly string[]): string {
  if (typeof value === "string") return types[0] === "ifname" ? `"${value}"` : value;
  if (typeof value === "number") return String(value);
  const body = asObject(value);
  const [kind = "", inner] = Object.entries(body)[0] ?? [];
  if (kind === "concat")
    return asArray(inner)
      .map((item, i) => valueText(item, types.slice(i, i + 1)))
      .join(" . ");
  if (kind === "prefix") return `${textOf(asObject(inner), "addr")}/${String(asObject(inner).len)}`;
  if (kind === "range")
    return asArray(inner)
      .map((item) => valueText(item, types))
      .join("-");
  if (kind === "jump" || kind === "goto") return `${kind} ${textOf(asObject(inner), "target")}`;
  if (inner === null) return kind;
  throw unexpected(`an element ${JSON.stringify(value)}`);
}

function commentOf(body: Json): { readonly comment?: string } {
  const { comment } = body;
  return typeof comment === "string" ? { comment } : {};
}

function familyOf(body: Json): NftFamily {
  const family = textOf(body, "family");
  switch (family) {
    case "ip":
    case "ip6":
    case "inet":
    case "arp":
    case "bridge":
    case "netdev":
      return family;
    default:
      throw unexpected(`a family ${family}`);
  }
}

function textOf(body: Json, key: string): string {
  const value = body[key];
  if (typeof value !== "string") throw unexpected(`no text under ${key}`);
  return value;
}

function asArray(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw unexpected("no array where one belongs");
  return value;
}

function asObject(value: unknown): Json {
  if (!isObject(value)) throw unexpected("no object where one belongs");
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unexpected(what: string): TsnetError {
  return new TsnetError(`nft listed ${what}, which is not understood`, { code: "program", op: "nft list" });
}
