/**
 * Every key that the reference plugins' documentation (cni.dev/plugins/current, and the source of release 1.9.1 where
 * that is silent) gives a meaning, each with the test that shows that ours does as it says.
 *
 * `title` is a part of the test's own title, as it stands in `file`.
 *
 * @module
 */

export interface DocumentedKey {
  /** As it is written in a config, from the plugin's own level: `ipam.ranges[][].gateway`. */
  readonly key: string;
  readonly file: string;
  readonly title: string;
}

export interface DocumentedPlugin {
  readonly plugin: string;
  readonly keys: readonly DocumentedKey[];
  /** Where ours does something else on purpose: what, and why. */
  readonly differences: readonly string[];
}

export const DOCUMENTED: readonly DocumentedPlugin[] = [];
