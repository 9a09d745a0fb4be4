/**
 * Titles of tests as they stand in their files, and as they are called in a run. Pure.
 *
 * @module
 */
import type { Shown } from "./types.ts";

type Titled = Pick<Shown, "title" | "instance">;

const QUOTES = ['"', "'", "`"];
// What vitest fills in for a case: %s, %j, $name.
const CASE = /%[sj]|\$\w+/g;

/** The title as it is read by people: of a case of its own, or with dots where the cases differ. */
export function titleOf({ title, instance = "…" }: Titled): string {
  return title.replaceAll(CASE, () => instance);
}

/** Whether a test of a run is called so; without an instance, whichever case it is. */
export function isCalled({ title, instance }: Titled, name: string): boolean {
  if (instance !== undefined) return titleOf({ title, instance }) === name;
  const parts = title.split(CASE).map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(name);
}

/** What is missing in the source of the test's file: its title, its case or its group as a text of its own. */
export function missingIn(source: string, { title, instance, group }: Shown): readonly string[] {
  const isQuoted = (text: string, before = "") =>
    QUOTES.some((quote) => source.includes(`${before}${quote}${text}${quote}`));
  const texts = [title, instance, group].filter((text) => text !== undefined);
  const isLeftOut = ["skip", "todo", "fails"].some((word) => isQuoted(title, `.${word}(`));
  return [...texts.filter((text) => !isQuoted(text)), ...(isLeftOut ? [`${title}, to be run`] : [])];
}
