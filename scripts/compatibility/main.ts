/**
 * Writes docs/cni-compatibility.md from a passing run of the tests that it names.
 *
 *     npm run build && npm run compatibility           runs the tests, writes the page
 *     npm run compatibility -- --check                 whether the page is that of the list, without running anything
 *
 * @module
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { DOCUMENTED } from "./keys.ts";
import { pageOf } from "./page.ts";
import { isCalled, missingIn } from "./title.ts";
import type { Shown } from "./types.ts";

const PAGE = "docs/cni-compatibility.md";

/** What vitest's JSON says of a run. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
    }[];
  }[];
}

const tests = DOCUMENTED.flatMap(({ plugin, keys }) =>
  Object.entries(keys).flatMap(([key, shown]) => shown.map((test) => ({ ...test, of: `${plugin} ${key}` }))),
);
const faults = tests.flatMap(fault);
if (faults.length > 0) fail(faults);
const page = pageOf(DOCUMENTED);
if (process.argv.includes("--check")) {
  if (!existsSync(PAGE) || readFileSync(PAGE, "utf8") !== page)
    fail([`${PAGE} is not that of scripts/compatibility: npm run compatibility writes it from a passing run`]);
} else {
  const report = await runTests();
  const failures = tests.flatMap((test) => failure(report, test));
  if (failures.length > 0) fail(failures);
  writeFileSync(PAGE, page);
  console.log(`${PAGE}: ${new Set(tests.map(({ of }) => of)).size} keys, each with tests that passed`);
}

function fault(test: Shown & { readonly of: string }): readonly string[] {
  if (!existsSync(test.file)) return [`${test.of}: no file ${test.file}`];
  return missingIn(readFileSync(test.file, "utf8"), test).map((text) => `${test.of}: ${test.file} has no "${text}"`);
}

async function runTests(): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "compatibility-"));
  try {
    const output = join(folder, "report.json");
    const files = [...new Set(tests.map(({ file }) => file))];
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${output}`];
    await execa("bun", ["--bun", "vitest", "run", "--pool=threads", ...reporters, ...files], {
      stdio: "inherit",
      preferLocal: true,
      reject: false,
    });
    return JSON.parse(readFileSync(output, "utf8")) as Report;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Every case that is called so has to have passed, and there has to be one. */
function failure({ testResults }: Report, test: Shown & { readonly of: string }): readonly string[] {
  const { group } = test;
  const ran = testResults
    .filter(({ name }) => name.endsWith(`/${test.file}`))
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ title }) => isCalled(test, title))
    .filter(
      ({ ancestorTitles }) => group === undefined || ancestorTitles.some((one) => isCalled({ title: group }, one)),
    );
  if (ran.length === 0) return [`${test.of}: ${test.file} ran no test "${test.title}"`];
  return ran.filter(({ status }) => status !== "passed").map((one) => `${test.of}: ${one.status}: ${one.title}`);
}

function fail(lines: readonly string[]): never {
  for (const line of lines) console.error(`compatibility: ${line}`);
  process.exit(1);
}
