/**
 * Which file an object counts in, if several have it: the one whose name comes first.
 *
 * @module
 */

export class Ownership {
  /** By object. */
  readonly #owners = new Map<string, string>();
  readonly #others = new Map<string, Set<string>>();
  /** By file, the objects that stand in it, whether they count there or not. */
  readonly #objects = new Map<string, Set<string>>();
  readonly #heirs = new Set<string>();

  /** Files that have objects. */
  files(): readonly string[] {
    return [...this.#objects.keys()];
  }

  /** The objects that stand in a file. */
  of(file: string): Iterable<string> {
    return this.#objects.get(file) ?? [];
  }

  /** The files that an object stands in, the one that it counts in first. */
  filesOf(id: string): readonly string[] {
    const owner = this.#owners.get(id);
    return owner === undefined ? [] : [owner, ...[...(this.#others.get(id) ?? [])].sort()];
  }

  /** The object stands in `file`. Returns the file that it counts in. */
  claim(id: string, file: string): string {
    const objects = this.#objects.get(file);
    if (objects === undefined) this.#objects.set(file, new Set([id]));
    else objects.add(id);
    const owner = this.#owners.get(id);
    if (owner === undefined || owner === file) {
      this.#owners.set(id, file);
      return file;
    }
    const [first, other] = owner < file ? [owner, file] : [file, owner];
    const others = this.#others.get(id);
    if (others === undefined) this.#others.set(id, new Set([other]));
    else others.add(other).delete(first);
    this.#owners.set(id, first);
    return first;
  }

  /** The object stands in `file` no more. True if it counted there: it is to be taken away, even if it has an {@link heir}. */
  release(id: string, file: string): boolean {
    const objects = this.#objects.get(file);
    objects?.delete(id);
    if (objects?.size === 0) this.#objects.delete(file);
    const [owner, heir] = this.filesOf(id);
    const others = this.#others.get(id);
    if (owner === file && heir === undefined) this.#owners.delete(id);
    else if (owner === file && heir !== undefined) {
      this.#owners.set(id, heir);
      this.#heirs.add(heir);
      others?.delete(heir);
    } else others?.delete(file);
    if (others?.size === 0) this.#others.delete(id);
    return owner === file;
  }

  /** A file that has to be read again, since objects count in it now that did not before; undefined if there is none. */
  heir(): string | undefined {
    const [heir] = this.#heirs;
    if (heir !== undefined) this.#heirs.delete(heir);
    return heir;
  }
}
