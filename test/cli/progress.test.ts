import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ProgressLines } from "../../cli/progress.ts";

describe("lines of progress", () => {
  let written: string[];
  const lines = (rows: number, columns = 80) => new ProgressLines((text) => written.push(text), { rows, columns });
  /** What is drawn next. */
  const drawn = (): string => {
    written.length = 0;
    vi.advanceTimersByTime(50);
    return written.join("");
  };

  beforeEach(() => {
    written = [];
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("are one a container, redrawn in place, and gone at the end", () => {
    const all = lines(24);
    all.tell("web", "joins its networks");
    all.tell("database", "waits for its turn");
    expect(drawn()).toBe("web       joins its networks\ndatabase  waits for its turn\n");
    all.tell("web", undefined);
    all.tell("database", "gets its root");
    expect(drawn()).toBe("\u001b[2A\u001b[Jdatabase  gets its root\n1 done\n");
    written.length = 0;
    all.close();
    expect(written.join("")).toBe("\u001b[2A\u001b[J");
  });

  test("are no more and no longer than the terminal has room for", () => {
    const all = lines(4, 12);
    for (const name of ["a", "b", "c", "d"]) all.tell(name, "waits for its turn");
    expect(drawn()).toBe("a  waits fo\nb  waits fo\n2 more\n");
  });

  test("are not written where work is over before anybody could read them", () => {
    const all = lines(24);
    all.tell("web", "joins its networks");
    all.close();
    expect(drawn()).toBe("");
  });
});
