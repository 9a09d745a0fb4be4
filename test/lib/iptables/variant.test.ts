import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { detectVariant, surveyVariants, type VariantOptions } from "../../../lib/iptables/variant.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
let options: VariantOptions;
beforeEach(async () => {
  host = await Host.create();
  options = { prefix: host.enter([]), proc: `/proc/${host.pid}/net` };
});
afterEach(() => host.destroy());

/** A folder of programs in which `iptables` is `what`; there are the others' names too if `named`. */
async function pathWith(what: string, named = true): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "variant-"));
  onTestFinished(() => rm(path, { recursive: true }));
  for (const name of named ? ["iptables-nft", "iptables-legacy"] : [])
    await symlink(`/usr/sbin/${name}`, join(path, name));
  await symlink(`/usr/sbin/${what}`, join(path, "iptables"));
  return path;
}

const addRule = (program: string) => host.ok([program, "-t", "nat", "-A", "OUTPUT", "-j", "RETURN"]);

test("with no rules at all it is what iptables is", async () => {
  expect(await surveyVariants(options)).toEqual({ variant: "nft", holdRules: [] });
  expect(await detectVariant({ ...options, path: await pathWith("iptables-nft") })).toBe("nft");
  expect(await detectVariant({ ...options, path: await pathWith("iptables-legacy") })).toBe("legacy");
});

test("an iptables by that name alone is asked for its version", async () => {
  expect(await detectVariant({ ...options, path: await pathWith("iptables-nft", false) })).toBe("nft");
  expect(await detectVariant({ ...options, path: await pathWith("iptables-legacy", false) })).toBe("legacy");
});

test("without an iptables there is no variant", async () => {
  expect(await detectVariant({ ...options, path: "/nowhere" })).toBeUndefined();
});

test.each(["iptables-legacy", "ip6tables-legacy"])(
  "rules of %s alone make it legacy, whatever iptables is",
  async (program) => {
    await addRule(program);
    expect(await detectVariant(options)).toBe("legacy");
    expect(await surveyVariants(options)).toEqual({ variant: "legacy", holdRules: ["legacy"] });
  },
);

test("legacy tables that were opened and hold nothing change nothing", async () => {
  await host.ok(["iptables-legacy", "-t", "nat", "-L"]);
  expect(await detectVariant(options)).toBe("nft");
});

test("rules of iptables-nft alone make it nft, whatever iptables is", async () => {
  await addRule("iptables-nft");
  expect(await detectVariant({ ...options, path: await pathWith("iptables-legacy") })).toBe("nft");
});

test("where both hold rules it is what iptables is, and the mixture shows", async () => {
  await addRule("iptables-nft");
  await host.ok(["iptables-legacy", "-P", "FORWARD", "DROP"]);
  expect(await surveyVariants(options)).toEqual({ variant: "nft", holdRules: ["nft", "legacy"] });
  expect(await detectVariant({ ...options, path: await pathWith("iptables-legacy") })).toBe("legacy");
});
