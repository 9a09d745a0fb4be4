/**
 * What the lists of keys are made of.
 *
 * @module
 */

/** A test by its title. */
export interface Shown {
  /** From the project's folder. */
  readonly file: string;
  /** The whole title as it stands in the file, with `%s` and the like where the test has cases. */
  readonly title: string;
  /** Text of one case, in place of the title's `%s`, as it stands in the file. Without it all cases count. */
  readonly instance?: string;
  /** Title of the group around it, as it stands in the file, where the test's own does not say enough. */
  readonly group?: string;
}

export interface DocumentedPlugin {
  /** Its name, or a heading for what all of them have. */
  readonly plugin: string;
  /** Its page below cni.dev/plugins/current; undefined where there is none. */
  readonly page?: string;
  /** By the key as it is written in a config, from the plugin's own level: `ipam.ranges[][].gateway`. */
  readonly keys: Readonly<Record<string, readonly Shown[]>>;
  /** Where ours does something else on purpose: what, and why. */
  readonly differences: readonly string[];
}

/** Names tests of one file below test/. */
export function testsOf(file: string): (title: string, more?: Pick<Shown, "instance" | "group">) => Shown {
  return (title, more = {}) => ({ file: `test/${file}`, title, ...more });
}
