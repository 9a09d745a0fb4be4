import fc from "fast-check";
import { expect, test } from "vitest";
import { isTsnetError } from "../../../lib/errors.ts";
import { listOfPlugin, parseNetworkList, parsePlugin } from "../../../lib/runtime/list.ts";

const plugins = [{ type: "bridge" }];

function parse(list: object) {
  return parseNetworkList(JSON.stringify(list), "x.conflist");
}

test("a list keeps its plugins in order, and its text", () => {
  const text = JSON.stringify({ name: "n", cniVersion: "0.4.0", plugins: [{ type: "a" }, { type: "b", x: 1 }] });
  const list = parseNetworkList(text);
  expect(list.plugins.map(({ type }) => type)).toEqual(["a", "b"]);
  expect(list.plugins[1]?.raw).toEqual({ type: "b", x: 1 });
  expect(list).toMatchObject({ name: "n", cniVersion: "0.4.0", disableCheck: false, disableGC: false, raw: text });
});

test("containers row 31: of cniVersions the highest that is known is spoken, and cniVersion counts among them", () => {
  const version = (list: object) => parse({ name: "n", plugins, ...list }).cniVersion;
  expect(version({ cniVersion: "1.0.0", cniVersions: ["1.0.0", "1.1.0"] })).toBe("1.1.0");
  expect(version({ cniVersions: ["0.4.0", "0.3.1"] })).toBe("0.4.0");
  expect(version({ cniVersion: "1.0.0", cniVersions: ["0.4.0"] })).toBe("1.0.0");
  expect(version({ cniVersion: "1.0.0", cniVersions: ["1.2.0", "2.0.0", "0.3.0"] })).toBe("1.0.0");
  expect(version({ cniVersion: "9.0.0" })).toBe("9.0.0");
  expect(version({ cniVersion: "9.0.0", cniVersions: ["8.0.0"] })).toBe("9.0.0");
  expect(version({})).toBe("");
});

test("switches are read as words, too", () => {
  const list = parse({ name: "n", plugins, disableCheck: "True", disableGC: true, loadOnlyInlinedPlugins: "FALSE" });
  expect(list).toMatchObject({ disableCheck: true, disableGC: true, loadOnlyInlinedPlugins: false });
});

test("a plugin's keys are read in any case, the list's are not", () => {
  const list = parse({ name: "n", plugins: [{ Type: "portmap", Capabilities: { portMappings: true, ips: false } }] });
  expect(list.plugins[0]).toMatchObject({ type: "portmap", capabilities: ["portMappings"] });
  expect(() => parse({ Name: "n", plugins })).toThrow('x.conflist: no "name"');
});

test("a single plugin's config becomes a list of that one plugin", () => {
  const plugin = parsePlugin('{"name":"old","cniVersion":"0.2.0","type":"bridge","mtu":1400}', "old.conf");
  const list = listOfPlugin(plugin, "old.conf");
  expect(list).toMatchObject({ name: "old", cniVersion: "0.2.0", plugins: [{ type: "bridge" }] });
  expect(JSON.parse(list.raw)).toEqual({
    name: "old",
    cniVersion: "0.2.0",
    plugins: [{ name: "old", cniVersion: "0.2.0", type: "bridge", mtu: 1400 }],
  });
});

test.each([
  ["no JSON", "{", "decoding", /x.conflist/],
  ["an array", "[]", "decoding", /must be an object/],
  ["a name with a slash", '{"name":"../x","plugins":[{"type":"a"}]}', "invalid", /network name/],
  ["a name that is a number", '{"name":1,"plugins":[{"type":"a"}]}', "invalid", /"name" must be a string/],
  ["no plugins in it", '{"name":"n","plugins":[]}', "invalid", /"plugins" is empty/],
  ["plugins that are none", '{"name":"n","plugins":{}}', "invalid", /"plugins" must be an array/],
  ["a plugin without a type", '{"name":"n","plugins":[{}]}', "invalid", /plugins\[0\]: no "type"/],
  [
    "a capability that is a word",
    '{"name":"n","plugins":[{"type":"a","capabilities":{"ips":"yes"}}]}',
    "decoding",
    /ips/,
  ],
  ["cniVersions that are none", '{"name":"n","plugins":[{"type":"a"}],"cniVersions":["new"]}', "invalid", /"new"/],
  ["a switch that is none", '{"name":"n","plugins":[{"type":"a"}],"disableGC":"maybe"}', "invalid", /"disableGC"/],
  ["inlined plugins only, and none", '{"name":"n","loadOnlyInlinedPlugins":true}', "invalid", /no "plugins"/],
])("a list with %s is refused, naming what is wrong", (_what, text, code, message) => {
  const attempt = () => parseNetworkList(text, "x.conflist");
  expect(attempt).toThrow(message);
  expect(attempt).toThrow(expect.objectContaining({ code }));
});

test("the parser throws coded errors only", () => {
  const key = fc.constantFrom("name", "cniVersion", "cniVersions", "plugins", "disableGC", "loadOnlyInlinedPlugins");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.dictionary(key, fc.jsonValue()).map((it) => JSON.stringify(it)),
      ),
      (text) => {
        try {
          parseNetworkList(text);
        } catch (error) {
          expect(isTsnetError(error, "decoding", "invalid")).toBe(true);
        }
      },
    ),
  );
});
