/** Keys of dhcp that no other test shows by what the server is told. */
import { describe, expect, it } from "vitest";
import { DhcpWorld, lanConf, type Started } from "./dhcp-world.ts";

/** The options that the first message asked for, by number and in order; dnsmasq breaks long lists over lines. */
async function requested(server: Started): Promise<readonly string[]> {
  const lines = (await server.log()).split("\n");
  const from = lines.findIndex((line) => line.includes("requested options:"));
  const length = lines.slice(from).findIndex((line) => !line.includes("requested options:"));
  const lists =
    lines
      .slice(from, from + length)
      .join()
      .match(/\d+:[a-z]/g) ?? [];
  return lists.map((one) => one.split(":")[0] ?? "");
}

describe.concurrent("the server is asked for", () => {
  it(
    "what request names alone, by number or name, with skipDefault",
    DhcpWorld.in(async (world) => {
      const server = await world.dnsmasq("--dhcp-option=6,10.50.0.53");
      await world.daemon();
      const request = [{ skipDefault: true }, { option: "subnet-mask" }, { option: "121" }];
      const result = await world.attach("c1", lanConf({ request }));
      expect(await requested(server)).toEqual(["1", "121"]);
      expect(result).not.toHaveProperty("dns");
      expect(result).not.toHaveProperty("routes");
    }),
  );

  it(
    "the default and what request adds, without",
    DhcpWorld.in(async (world) => {
      const server = await world.dnsmasq();
      await world.daemon();
      await world.attach("c1", lanConf({ request: [{ skipDefault: false }, { option: "26" }] }));
      expect(await requested(server)).toEqual(["26", "3", "1", "6", "15", "119"]);
    }),
  );
});
