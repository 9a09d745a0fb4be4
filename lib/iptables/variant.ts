/**
 * Which iptables to use: two variants with rules of their own live side by side on one host.
 *
 * @module
 */
import type { IptablesVariant } from "./iptables.ts";

export interface VariantReport {
  /** The one to use; undefined if no iptables is installed. */
  readonly variant?: IptablesVariant;
  /** The variants that hold rules in this namespace, ours or anybody's: with both, packets pass two rule sets. */
  readonly holdRules: readonly IptablesVariant[];
}

export interface VariantOptions {
  /** Put before the programs: `["nsenter", "--net=/run/netns/x"]`. */
  readonly prefix?: readonly string[];
}

/**
 * The variant that holds the host's rules; the one that `iptables` is, where none does. Reads files only in the
 * common case that legacy tables were never loaded (`/proc/net/ip_tables_names` is empty or absent).
 */
export declare function detectVariant(options?: VariantOptions): Promise<IptablesVariant | undefined>;

/** The same with what each variant holds, for whoever warns of a mixture; runs both `iptables-save`. */
export declare function surveyVariants(options?: VariantOptions): Promise<VariantReport>;
