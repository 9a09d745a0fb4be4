/**
 * Reads what iptables-save prints.
 *
 * @module
 */
import type { SavedTable } from "./iptables.ts";

export declare function parseSave(text: string): ReadonlyMap<string, SavedTable>;
