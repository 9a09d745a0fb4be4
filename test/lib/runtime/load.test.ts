import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadNetworkFile, loadNetworkList } from "../../../lib/runtime/load.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(`${tmpdir()}/tsnet-load-`);
});

afterEach(() => rmSync(directory, { recursive: true }));

function put(path: string, content: object | string): void {
  mkdirSync(`${directory}/${path}`.replace(/\/[^/]+$/, ""), { recursive: true });
  writeFileSync(`${directory}/${path}`, typeof content === "string" ? content : JSON.stringify(content));
}

function types(name: string): readonly string[] {
  return loadNetworkList(directory, name).plugins.map(({ type }) => type);
}

test("lists come before single plugins, and each kind in the order of its names", () => {
  put("00-n.conf", { name: "n", type: "single" });
  put("20-n.conflist", { name: "n", plugins: [{ type: "second" }] });
  put("10-n.conflist", { name: "n", plugins: [{ type: "first" }] });
  expect(types("n")).toEqual(["first"]);
});

test("a network may be a single plugin in a .conf or .json", () => {
  put("a.conf", { name: "a", cniVersion: "1.0.0", type: "bridge" });
  put("b.json", { name: "b", type: "macvlan" });
  expect(types("a")).toEqual(["bridge"]);
  expect(types("b")).toEqual(["macvlan"]);
});

test("containers row 31: plugins in the network's folder follow the inlined ones", () => {
  put("n.conflist", { name: "n", plugins: [{ type: "bridge" }] });
  put("n/20-b.conf", { type: "tuning" });
  put("n/10-a.conf", { type: "portmap" });
  put("n/readme.txt", "no plugin");
  expect(types("n")).toEqual(["bridge", "portmap", "tuning"]);
});

test("containers row 31: a list without plugins of its own has those of its folder", () => {
  put("n.conflist", { name: "n" });
  expect(() => loadNetworkFile(`${directory}/n.conflist`)).toThrow(/names no plugin/);
  put("n/10-a.conf", { type: "bridge" });
  expect(types("n")).toEqual(["bridge"]);
});

test("containers row 31: loadOnlyInlinedPlugins leaves the folder out", () => {
  put("n.conflist", { name: "n", loadOnlyInlinedPlugins: true, plugins: [{ type: "bridge" }] });
  put("n/10-a.conf", { type: "portmap" });
  expect(types("n")).toEqual(["bridge"]);
});

test("a broken file does not hide the others, and is named where the network is not found", () => {
  put("00-broken.conflist", "{");
  put("10-n.conflist", { name: "n", plugins: [{ type: "bridge" }] });
  expect(types("n")).toEqual(["bridge"]);
  expect(() => loadNetworkList(directory, "m")).toThrow(/no network "m" in .*there are: n.*00-broken.conflist/);
});

test("an empty or absent directory has no network", () => {
  expect(() => loadNetworkList(directory, "n")).toThrow(/there is none/);
  expect(() => loadNetworkList(`${directory}/absent`, "n")).toThrow(expect.objectContaining({ code: "not-found" }));
});
