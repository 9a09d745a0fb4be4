import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { rewrite } from "../../cli/overlay.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { settingsFrom } from "../../overlay/config/flags.ts";
import { parseHostList } from "../../overlay/source/statichosts.ts";

test("the example's list of hosts is read whole, with nothing to warn of", () => {
  const warnings: string[] = [];
  const text = readFileSync("examples/overlay/overlay.yaml", "utf8");
  const list = parseHostList(text, { path: "overlay.yaml", warn: (warning) => warnings.push(warning) });
  expect(warnings).toEqual([]);
  expect(list.malformed).toEqual([]);
  expect(list.leases.map(({ host, parts }) => [host, parts[4] && formatAddress(parts[4].address)])).toEqual([
    ["one", "192.0.2.1"],
    ["two", "192.0.2.2"],
    ["three", "198.51.100.3"],
  ]);
});

test("what the list has as a comment is right too", () => {
  const text = readFileSync("examples/overlay/overlay.yaml", "utf8")
    .replace(/# (- { name: four)/, "$1")
    .replace("  Backend:", "  EnableIPv6: true\n  IPv6Network: fd00:244::/48\n  Backend:");
  const { leases, malformed } = parseHostList(text, { path: "overlay.yaml", warn: () => {} });
  expect(malformed).toEqual([]);
  expect(leases.find(({ host }) => host === "four")?.parts[6]).toBeDefined();
});

test("the unit's command line is understood", () => {
  const unit = readFileSync("examples/overlay/tsnet-overlay.service", "utf8");
  const [, line = ""] = /^ExecStart=\/usr\/local\/bin\/tsnet overlay (.*) \$TSNET_OVERLAY_FLAGS$/m.exec(unit) ?? [];
  const flags = rewrite(line.split(" ")).map((flag) => /^--([^=]+)=(.*)$/.exec(flag) ?? []);
  const given = Object.fromEntries(flags.map(([, name = "", value = ""]) => [name, [value]]));
  const { settings } = settingsFrom(given, () => {}, { environment: {}, hostname: () => "one" });
  expect(settings).toMatchObject({
    source: { kind: "static", file: "/etc/tsnet/overlay.yaml" },
    healthzAddress: "127.0.0.1:10270",
    metricsAddress: "127.0.0.1:10270",
  });
});
