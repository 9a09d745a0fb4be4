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
import { DOCUMENTED, type DocumentedKey } from "./keys.ts";
import { pageOf } from "./page.ts";

const PAGE = "docs/cni-compatibility.md";

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const keys = DOCUMENTED.flatMap(({ plugin, keys }) => keys.map((key) => ({ plugin, ...key })));
const faults = keys.flatMap((key) => fault(key, `${key.plugin} ${key.key}`));
if (faults.length > 0) fail(faults);
const page = pageOf(DOCUMENTED);
if (process.argv.includes("--check")) {
  if (!existsSync(PAGE) || readFileSync(PAGE, "utf8") !== page) {
    fail([`${PAGE} is not that of scripts/compatibility/keys.ts: npm run compatibility writes it from a passing run`]);
  }
} else {
  const report = await runTests();
  const failures = keys.flatMap((key) => failure(report, key, `${key.plugin} ${key.key}`));
  if (failures.length > 0) fail(failures);
  writeFileSync(PAGE, page);
  console.log(`${PAGE}: ${keys.length} keys, each with a test that passed`);
}

function fault({ file, title }: DocumentedKey, key: string): readonly string[] {
  if (!existsSync(file)) return [`${key}: no file ${file}`];
  return readFileSync(file, "utf8").includes(title) ? [] : [`${key}: ${file} has no test "${title}"`];
}

async function runTests(): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "compatibility-"));
  try {
    const output = join(folder, "report.json");
    const files = [...new Set(keys.map(({ file }) => file))];
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

function failure({ testResults }: Report, { file, title }: DocumentedKey, key: string): readonly string[] {
  const results = testResults.filter(({ name }) => name.endsWith(`/${file}`));
  const tests = results.flatMap(({ assertionResults }) =>
    assertionResults.filter((one) => one.fullName.includes(title)),
  );
  if (tests.length === 0) return [`${key}: ${file} ran no test "${title}"`];
  return tests.filter(({ status }) => status !== "passed").map((one) => `${key}: ${one.status}: ${one.fullName}`);
}

function fail(lines: readonly string[]): never {
  for (const line of lines) console.error(`compatibility: ${line}`);
  process.exit(1);
}
