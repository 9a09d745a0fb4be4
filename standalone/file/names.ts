/**
 * What projects, networks and containers may be called. The name of each is part of names of the kernel's and of
 * files, and a dot parts project from the rest, so none may hold one.
 *
 * @module
 */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,40}$/;

/** For messages. */
export const NAME_FORM = 'a name of letters, digits, "-" and "_", at most 41 of them';

export function isName(text: string): boolean {
  return NAME.test(text);
}

/** The project that a folder's name stands for: what cannot be in a name becomes "-". */
export function nameOfFolder(folder: string): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, "-")
    .replace(/^[-_]+|[-_]+$/g, "")
    .slice(0, 41);
  return name === "" ? "tsnet" : name;
}
