/**
 * The versions of the CNI specification that we speak. Apart from the code that writes their shapes, because
 * VERSION needs nothing else.
 *
 * @module
 */

/** All of them, ascending. */
export const CNI_VERSIONS: readonly string[] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/** The newest, in which we answer where the caller's version is unknown. */
export const NEWEST_VERSION = "1.1.0";

/** What a config without a version is. */
export const UNNAMED_VERSION = "0.1.0";

/** Those from `least` on: what a plugin supports that the reference has no earlier. */
export function versionsFrom(least: string): readonly string[] {
  return CNI_VERSIONS.filter((version) => isAtLeast(version, least));
}

/** Whether `version` is `least` or later. Both must be of {@link CNI_VERSIONS}. */
export function isAtLeast(version: string, least: string): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(least);
}
