/**
 * Every key that the reference plugins' documentation (cni.dev/plugins/current, and the source of release 1.9.1 where
 * that is silent) gives a meaning, each with the tests that show that ours does as it says.
 *
 * @module
 */
import { ADDRESSES } from "./keys-addresses.ts";
import { CHAINED } from "./keys-chained.ts";
import { INTERFACES } from "./keys-interfaces.ts";
import { SHARED } from "./keys-shared.ts";
import type { DocumentedPlugin } from "./types.ts";

export const DOCUMENTED: readonly DocumentedPlugin[] = [SHARED, ...INTERFACES, ...ADDRESSES, ...CHAINED];
