/** `tsnet convert`: which lists become what, and which are refused. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { convertList } from "../../cli/conversion.ts";
import { differenceOf } from "../../cli/difference.ts";

const bridge = { type: "bridge", bridge: "br0", ipam: { type: "host-local", subnet: "10.1.0.0/24" } };
const portmap = { type: "portmap", capabilities: { portMappings: true }, snat: true };
const firewall = { type: "firewall" };
const tuning = { type: "tuning", sysctl: { "net.core.somaxconn": "500" } };
const sbr = { type: "sbr" };

const listOf = (...plugins: readonly object[]) => ({ cniVersion: "1.0.0", name: "front", disableCheck: true, plugins });
const converted = async (list: object) => JSON.parse((await convertList(JSON.stringify(list), "f.conflist")).after);
const refused = (list: object) => expect(convertList(JSON.stringify(list), "f.conflist")).rejects;

test("a chain of plugins becomes one, which declares what they declare; the list keeps its own keys", async () => {
  const bandwidth = { type: "bandwidth", capabilities: { bandwidth: true, mac: false } };
  expect(await converted(listOf(bridge, portmap, firewall, bandwidth, tuning))).toEqual(
    listOf({
      type: "tsnet",
      capabilities: { portMappings: true, bandwidth: true },
      parts: [bridge, portmap, firewall, bandwidth, tuning],
    }),
  );
});

test("what cannot be inside stays outside, in order", async () => {
  expect(await converted(listOf({ type: "macvlan" }, portmap, firewall, sbr, tuning))).toEqual(
    listOf(
      { type: "macvlan" },
      { type: "tsnet", capabilities: { portMappings: true }, parts: [portmap, firewall] },
      sbr,
      tuning,
    ),
  );
});

test("a plugin that comes twice begins another one", async () => {
  const { plugins } = await converted(listOf(bridge, tuning, tuning, firewall));
  expect(plugins).toEqual([
    { type: "tsnet", parts: [bridge, tuning] },
    { type: "tsnet", parts: [tuning, firewall] },
  ]);
});

test("a list with nothing to join, or converted before, stays as it is", async () => {
  for (const list of [listOf(bridge), listOf(bridge, sbr, tuning), await converted(listOf(bridge, portmap))]) {
    expect(await converted(list)).toEqual(list);
  }
});

test("a capability that comes with the call is no fault, nor are ranges that do", async () => {
  const ranged = { ...bridge, capabilities: { ipRanges: true }, ipam: { type: "host-local" } };
  expect((await converted(listOf(ranged, portmap))).plugins[0].capabilities).toEqual({
    ipRanges: true,
    portMappings: true,
  });
});

test.each([
  ["a key's value", listOf(sbr, bridge, { ...portmap, markMasqBit: 99 }), "plugins[2].markMasqBit is 99"],
  ["a key's type", listOf({ ...bridge, mtu: "big" }, portmap), 'plugins[0].mtu must be a number, not "big"'],
  ["addresses", listOf({ ...bridge, ipam: { type: "host-local" } }, portmap), "plugins[0]: no IP ranges specified"],
  ["a version", { ...listOf(bridge, firewall), cniVersion: "0.3.1" }, "plugins[1] (firewall) exists since 0.4.0"],
  ["no plugins", { cniVersion: "1.0.0", name: "front" }, 'no "plugins"'],
])("a list that does not work is refused, naming what is wrong: %s", async (_, list, message) => {
  await refused(list).toThrow(message);
});

test("the config of a single plugin is told from a list", async () => {
  const conf = JSON.stringify({ cniVersion: "1.0.0", name: "front", type: "bridge" });
  await expect(convertList(conf, "10-front.conf")).rejects.toThrow(
    "10-front.conf is the config of one plugin, bridge: a list of plugins is converted, a .conflist",
  );
});

test("the difference tells what went and what came", () => {
  expect(differenceOf("a\nb\nc\n", "a\nx\nc\nd\n")).toBe("  a\n- b\n+ x\n  c\n+ d\n");
  expect(differenceOf("a\n", "a\n")).toBe("  a\n");
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "convert-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function tsnet(...argv: readonly string[]) {
  const child = Bun.spawn([process.execPath, "cli/main.ts", "convert", ...argv], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent" },
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, exitCode };
}

test("the command writes to standard output, to another file, or back; a refused list stays as it is", async () => {
  const file = `${folder}/10-front.conflist`;
  const text = JSON.stringify(listOf(bridge, portmap));
  await writeFile(file, text);
  const shown = await tsnet(file);
  expect(JSON.parse(shown.stdout)).toEqual(await converted(listOf(bridge, portmap)));
  expect(shown.stderr).toContain('+       "type": "tsnet",');
  expect(shown.stderr).toContain("plugins[0]: tsnet, with the parts bridge, portmap\n");
  expect(await tsnet(file, "-o", `${folder}/new.conflist`)).toMatchObject({ exitCode: 0, stdout: "" });
  expect(await readFile(`${folder}/new.conflist`, "utf8")).toBe(shown.stdout);
  expect(await readFile(file, "utf8")).toBe(text);
  expect(await tsnet(file, "-w")).toMatchObject({ exitCode: 0, stdout: "" });
  expect(await readFile(file, "utf8")).toBe(shown.stdout);

  const wrong = JSON.stringify(listOf({ ...bridge, mtu: 5 }, portmap));
  await writeFile(file, wrong);
  expect(await tsnet(file, "-w")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("plugins[0].mtu is 5"),
  });
  expect(await readFile(file, "utf8")).toBe(wrong);
  expect(await tsnet(file, "-w", "-o", "x")).toMatchObject({ exitCode: 2 });
  expect(await tsnet(`${folder}/none`)).toMatchObject({ exitCode: 1 });
});
