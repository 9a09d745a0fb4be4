import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Change, install, uninstall } from "../../cli/installation.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/tsnet-install-`);
  writeFileSync(`${root}/tsnet`, "version 1");
});

afterEach(() => rmSync(root, { recursive: true }));

const names = ["bridge", "host-local", "portmap"];

function wanted(more: { readonly listText?: undefined } = {}) {
  return {
    binDir: `${root}/opt/cni/bin`,
    confDir: `${root}/etc/cni/net.d`,
    executable: `${root}/tsnet`,
    names,
    listText: () => "{}",
    ...more,
  };
}

function undo(): readonly Change[] {
  return uninstall(`${root}/opt/cni/bin`);
}

/** Puts a file of somebody else's, an hour old. */
function foreign(path: string, text: string, mode = 0o755): void {
  mkdirSync(`${root}/${path}`.replace(/\/[^/]+$/, ""), { recursive: true });
  writeFileSync(`${root}/${path}`, text);
  chmodSync(`${root}/${path}`, mode);
  utimesSync(`${root}/${path}`, 1e9, 1e9);
}

/** Everything below the root, with what tells one file from another. */
function picture(): readonly string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .sort()
    .map((path) => {
      const stat = lstatSync(`${root}/${path}`);
      const content = stat.isSymbolicLink() ? readlinkSync(`${root}/${path}`) : stat.isFile() ? stat.ino : "";
      return `${path} ${stat.mode.toString(8)} ${stat.isDirectory() ? "" : stat.mtimeMs} ${content}`;
    });
}

function actions(changes: readonly Change[]): Record<string, string> {
  return Object.fromEntries(changes.map(({ path, action }) => [path.slice(path.lastIndexOf("/") + 1), action]));
}

function read(path: string): string {
  return readFileSync(`${root}/${path}`, "utf8");
}

test("every name is a hard link to one executable copy", async () => {
  const changes = await install(wanted());
  const files = names.map((name) => lstatSync(`${root}/opt/cni/bin/${name}`));
  expect(new Set(files.map(({ ino }) => ino)).size).toBe(1);
  expect(files[0]).toMatchObject({ nlink: 3, mode: 0o100755 });
  expect(read("opt/cni/bin/portmap")).toBe("version 1");
  expect(actions(changes)).toEqual({
    bridge: "installed",
    "host-local": "installed",
    portmap: "installed",
    "99-tsnet.conflist": "installed",
  });
});

test("installing twice changes nothing the second time", async () => {
  await install(wanted());
  const before = picture();
  const changes = await install(wanted());
  expect(new Set(changes.map(({ action }) => action))).toEqual(new Set(["unchanged"]));
  expect(picture().filter((line) => !line.includes("record.json"))).toEqual(
    before.filter((line) => !line.includes("record.json")),
  );
});

test("undo leaves nothing of an install where nothing was before, directories included", async () => {
  const before = picture();
  await install(wanted());
  undo();
  expect(picture()).toEqual(before);
});

test("containers row 30: undo puts back exactly what was replaced, symbolic links too", async () => {
  foreign("opt/cni/bin/bridge", "the reference's", 0o555);
  foreign("opt/cni/bin/macvlan", "not ours to touch");
  symlinkSync("macvlan", `${root}/opt/cni/bin/portmap`);
  foreign("etc/cni/net.d/10-first.conflist", "{}", 0o600);
  const before = picture();
  const changes = await install(wanted());
  expect(actions(changes)).toMatchObject({ bridge: "replaced", "host-local": "installed", portmap: "replaced" });
  expect(read("opt/cni/bin/bridge")).toBe("version 1");
  expect(read("opt/cni/bin/macvlan")).toBe("not ours to touch");
  await install(wanted());
  expect(actions(undo())).toEqual({
    bridge: "put back",
    "host-local": "removed",
    portmap: "put back",
    "99-tsnet.conflist": "removed",
  });
  expect(picture()).toEqual(before);
});

test("a newer executable replaces ours, and undo still goes back to before the first", async () => {
  foreign("opt/cni/bin/bridge", "the reference's");
  const before = picture();
  await install(wanted());
  const old = read("tsnet");
  writeFileSync(`${root}/tsnet`, "version 2!");
  expect(actions(await install(wanted()))).toMatchObject({ bridge: "updated", portmap: "updated" });
  expect(names.map((name) => read(`opt/cni/bin/${name}`))).toEqual(["version 2!", "version 2!", "version 2!"]);
  writeFileSync(`${root}/tsnet`, old);
  undo();
  expect(picture().filter((line) => !line.startsWith("tsnet "))).toEqual(
    before.filter((line) => !line.startsWith("tsnet ")),
  );
});

test("what somebody put in place of ours since is left, and said", async () => {
  await install(wanted());
  unlinkSync(`${root}/opt/cni/bin/bridge`);
  foreign("opt/cni/bin/bridge", "an upgrade of the reference");
  const changes = undo();
  expect(read("opt/cni/bin/bridge")).toBe("an upgrade of the reference");
  expect(actions(changes)).toMatchObject({ portmap: "removed" });
});

test("installing over somebody's later upgrade keeps that one for undo", async () => {
  foreign("opt/cni/bin/bridge", "1.0");
  await install(wanted());
  unlinkSync(`${root}/opt/cni/bin/bridge`);
  foreign("opt/cni/bin/bridge", "1.1");
  expect(actions(await install(wanted()))).toMatchObject({ bridge: "replaced" });
  undo();
  expect(read("opt/cni/bin/bridge")).toBe("1.1");
});

test("an edited network list is nobody's to overwrite or delete", async () => {
  await install(wanted());
  const path = `${root}/etc/cni/net.d/99-tsnet.conflist`;
  writeFileSync(path, "mine");
  expect(actions(await install(wanted()))).toMatchObject({ "99-tsnet.conflist": "left" });
  expect(actions(undo())).toMatchObject({ "99-tsnet.conflist": "left" });
  expect(readFileSync(path, "utf8")).toBe("mine");
});

test("an install that was cut off before its links is finished by the next, and undone by undo", async () => {
  foreign("opt/cni/bin/bridge", "the reference's");
  const before = picture();
  await expect(install({ ...wanted(), executable: `${root}/absent` })).rejects.toMatchObject({ code: "io" });
  expect(read("opt/cni/bin/bridge")).toBe("the reference's");
  await install(wanted());
  undo();
  expect(picture()).toEqual(before);
});

test("the plugins alone, without a network list", async () => {
  await install(wanted({ listText: undefined }));
  expect(() => readdirSync(`${root}/etc`)).toThrow("ENOENT");
});

test("undo where nothing is installed says so", () => {
  expect(undo).toThrow(expect.objectContaining({ code: "not-found" }));
});
