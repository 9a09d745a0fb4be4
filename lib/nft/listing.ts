/**
 * Reads `nft -j list ...`.
 *
 * @module
 */
import type { NftBaseChain, NftTable } from "./nft.ts";
import type { NftTableName } from "./transaction.ts";

export declare function parseTable(text: string): NftTable | undefined;
export declare function parseTables(text: string): readonly NftTableName[];
export declare function parseBaseChains(text: string): readonly NftBaseChain[];
