import { expect, test } from "vitest";
import { renderTable } from "../../cli/output.ts";

const rows = [
  { name: "web", ports: 2 },
  { name: "a longer name", ports: 10 },
];
const columns = [
  { title: "NAME", cell: (row: (typeof rows)[number]) => row.name, style: () => "green" as const },
  { title: "PORTS", cell: (row: (typeof rows)[number]) => String(row.ports), align: "right" as const },
  { title: "LAST", cell: () => "x" },
];

test("a table has its columns under their titles, and no blanks at line ends", () => {
  expect(renderTable(rows, columns)).toBe(
    ["NAME           PORTS  LAST", "web                2  x", "a longer name     10  x", ""].join("\n"),
  );
});

test("an empty table still has its titles", () => {
  expect(renderTable([], columns)).toBe("NAME  PORTS  LAST\n");
});

test("colour does not move a column", () => {
  const plain = renderTable(rows, columns);
  const coloured = renderTable(rows, columns, true);
  expect(coloured).toContain("\u001b[32mweb\u001b[0m");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what this is about
  expect(coloured.replace(/\u001b\[\d+m/g, "")).toBe(plain);
});

test("wide characters count as they are shown", () => {
  const [, first] = renderTable([{ name: "網", ports: 1 }], columns).split("\n");
  expect(first).toBe("網        1  x");
});

test("a name with control characters cannot move the cursor", () => {
  expect(renderTable([{ name: "a\u001b[2Jb\nc", ports: 1 }], columns)).toContain("a?[2Jb?c");
});
