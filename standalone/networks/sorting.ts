/**
 * What a network list is called. Runtimes take the first file of the directory, by name, as their network; ours must
 * not push another one off that place, so it sorts after every file that is there.
 *
 * @module
 */

/** Extensions that runtimes read. */
const EXTENSIONS = [".conf", ".conflist", ".json"];

/** `99-WORD.conflist`, or a name that sorts after the last of `present` and ends in `.WORD.conflist`; WORD begins with tsnet. */
export function nameAfter(word: string, present: readonly string[]): string {
  const usual = `99-${word}.conflist`;
  const last = present.filter(isNetworkFile).toSorted(byBytes).at(-1);
  if (last === undefined || byBytes(last, usual) < 0) return usual;
  // After "zz" and its dot, "tsnet" sorts behind every extension.
  return `${last.slice(0, last.lastIndexOf("."))}.${word}.conflist`;
}

function isNetworkFile(name: string): boolean {
  return EXTENSIONS.some((extension) => name.endsWith(extension));
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
