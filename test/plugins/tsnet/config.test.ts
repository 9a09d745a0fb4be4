/** What each part is given, and which configs are refused. */
import { describe, expect, test } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { objectOf } from "../../../lib/cni/object.ts";
import type { PluginCall } from "../../../lib/cni/types.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseParts } from "../../../plugins/tsnet/config.ts";
import { inPart, openParts, validateParts } from "../../../plugins/tsnet/part.ts";

function callOf(more: object): PluginCall {
  const raw = { cniVersion: "1.1.0", name: "net1", type: "tsnet", ...more };
  const attachment = { network: "net1", containerId: "c1", ifname: "eth0" };
  const conf = parseNetConf(objectOf(raw, "the network config"));
  return {
    ...attachment,
    command: "ADD",
    netns: "/run/netns/c1",
    path: [],
    args: "",
    conf,
    stdin: JSON.stringify(raw),
    attachment,
  };
}

const bridge = { type: "bridge", bridge: "br0" };
const portmap = { type: "portmap", capabilities: { portMappings: true } };
const portMappings = [{ hostPort: 8080, containerPort: 80 }];

describe("a part", () => {
  test("is called as the plugin of a list: the network's name and version, its own keys, nobody else's", () => {
    const [part] = parseParts(
      callOf({ parts: [{ ...bridge, NAME: "other", cniVersion: "0.1.0", mtu: 1400 }], ipMasq: true }),
    );
    expect(JSON.parse(part?.call(undefined).stdin ?? "")).toEqual({
      cniVersion: "1.1.0",
      name: "net1",
      ...bridge,
      mtu: 1400,
    });
    expect(part?.call(undefined).conf).toMatchObject({ name: "net1", cniVersion: "1.1.0", type: "bridge" });
  });

  test("gets of runtimeConfig what it declares itself, and its own where the runtime gives none of that", () => {
    const capabilities = { portMappings: true, mac: true };
    const parts = [{ ...bridge, capabilities: { mac: true } }, portmap, { type: "firewall", runtimeConfig: { x: 1 } }];
    const runtimeConfig = { portMappings, mac: "02:00:00:00:00:01" };
    const given = parseParts(callOf({ capabilities, parts, runtimeConfig })).map(
      (part) => part.call(undefined).conf.runtimeConfig.raw,
    );
    expect(given).toEqual([{ mac: "02:00:00:00:00:01" }, { portMappings }, { x: 1 }]);
  });

  test("gets the result of the part before as prevResult, in its stdin as well", () => {
    const [part] = parseParts(callOf({ parts: [{ ...bridge, prevResult: "a stale one" }] }));
    const address = { address: parseAddress("10.1.0.2"), prefix: 24 };
    const call = part?.call({ interfaces: [{ name: "br0" }], ips: [{ address }], routes: [], dns: {} });
    expect(call?.conf.prevResult?.ips).toEqual([{ address }]);
    expect(JSON.parse(call?.stdin ?? "").prevResult).toMatchObject({ ips: [{ address: "10.1.0.2/24" }] });
  });

  test("is told of the valid attachments of a GC", () => {
    const valid = { "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] };
    const parts = parseParts(callOf({ parts: [bridge, { type: "tuning" }], ...valid }));
    for (const part of parts) expect(part.call(undefined).conf.validAttachments).toHaveLength(1);
  });
});

test.each([
  [{}, 'no "parts"'],
  [{ parts: [] }, '"parts" is empty'],
  [{ parts: "bridge" }, "parts in the network config must be a list"],
  [{ parts: [bridge, "portmap"] }, "parts[1] in the network config must be an object"],
  [{ parts: [{}] }, "parts[0].type is missing"],
  [{ parts: [{ type: "tsnet" }] }, 'parts[0].type is "tsnet", allowed are bridge, portmap'],
  [{ parts: [bridge, bridge] }, "parts[1] is a second bridge, beside parts[0]"],
  [{ parts: [portmap] }, "parts[0].capabilities has portMappings"],
  [{ parts: [bridge], capabilities: { ips: true } }, "capabilities has ips, which no part takes"],
])("%j is refused: %s", (more, message) => {
  expect(() => parseParts(callOf(more))).toThrow(message);
});

describe("errors name the part", () => {
  const refused = async (parts: readonly object[], more: object = {}) => {
    const call = callOf({ parts, ...more });
    return expect((async () => validateParts(call, await openParts(call)))()).rejects;
  };

  test.each([
    [[{ ...bridge, mtu: 5 }], "parts[0].mtu is 5"],
    [[bridge, { type: "bandwidth", ingressRate: "fast" }], 'parts[1].ingressRate must be a number, not "fast"'],
    [[{ ...bridge, hairpinMode: true, promiscMode: true }], "parts[0]: cannot set hairpinMode and promiscMode"],
    [[bridge, { type: "firewall", ingressPolicy: "shut" }], "parts[1]"],
  ])("%j: %s", async (parts, message) => {
    await (await refused(parts)).toThrow(message);
  });

  test("a sysctl that stands twice, which a parser does not tell, is refused as by the plugin", async () => {
    const call = callOf({ parts: [{ type: "tuning", sysctl: {} }] });
    const stdin = '{"parts": [{"type": "tuning", "sysctl": {"net.core.somaxconn": "1", "net.core.somaxconn": "2"}}]}';
    const twice = { ...call, stdin };
    await expect((async () => validateParts(twice, await openParts(twice)))()).rejects.toThrow(
      /^parts\[0\]: duplicated sysctl keys are not allowed: .*net\.core\.somaxconn twice/,
    );
  });

  test("what is no fault of the config stays as it is", async () => {
    const [part] = await openParts(callOf({ parts: [bridge] }));
    if (part === undefined) throw new Error("no part");
    const failure = new Error("the cable is out");
    await expect(inPart(part, () => Promise.reject(failure))).rejects.toBe(failure);
  });
});
