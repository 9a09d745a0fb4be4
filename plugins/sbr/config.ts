/**
 * The sbr plugin's own keys, from unknown to typed, before anything is touched.
 *
 * `table` is of the reference plugin 1.9.1, `gateways` and `addSourceHints` of what came after it; their texts of
 * errors are kept, since people search their logs for them.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type Address, formatAddress, parseAddress } from "../../lib/net/address.ts";

export interface SbrConfig {
  /** Where the rules lead, in which case no route is touched; undefined: tables of our own, one an address. */
  readonly table: number | undefined;
  /** At most one a family, in place of the result's. */
  readonly gateways: readonly Address[];
  /** Whether the main table keeps a way to each address's subnet, from that address. */
  readonly addSourceHints: boolean;
}

const MAX_TABLE = 0xffff_ffff;

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed; `decoding`. */
export function parseConfig(call: PluginCall): SbrConfig {
  const { raw } = call.conf;
  return {
    table: parseTable(call),
    gateways: parseGateways(raw.strings("gateways") ?? []),
    addSourceHints: raw.boolean("addSourceHints") ?? false,
  };
}

function parseTable({ conf: { raw } }: PluginCall): number | undefined {
  const table = raw.integer("table");
  if (table === undefined || isTable(table)) return table;
  throw invalid(`table is ${table}, allowed are 1 to ${MAX_TABLE}`);
}

/** All that DEL needs: one that ADD refused is as good as none, since a failing DEL keeps the whole list from its own. */
export function tableOf({ conf: { raw } }: PluginCall): number | undefined {
  const table = raw.value("table");
  return typeof table === "number" && isTable(table) ? table : undefined;
}

function isTable(table: number): boolean {
  return table >= 1 && table <= MAX_TABLE;
}

function parseGateways(texts: readonly string[]): readonly Address[] {
  if (texts.length > 2) throw invalid("gateways list cannot contain more than 2 entries (one IPv4, one IPv6)");
  const [first, second] = texts.map(parseGateway);
  if (first === undefined) return [];
  if (second === undefined) return [first];
  if (first.family === second.family) {
    const both = `${formatAddress(first)} and ${formatAddress(second)}`;
    throw invalid(`gateways list contains multiple IPv${first.family} addresses: ${both}`);
  }
  return [first, second];
}

function parseGateway(text: string): Address {
  try {
    return parseAddress(text);
  } catch (cause) {
    throw new TsnetError(`invalid static gateway IP address: ${text}`, { code: "invalid", op: "sbr config", cause });
  }
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "sbr config" });
}
