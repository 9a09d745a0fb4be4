import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { iptablesBulk } from "../../../lib/iptables/bulk.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
beforeEach(async () => {
  host = await Host.create();
});
afterEach(() => host.destroy());

describe.each(["nft", "legacy"] as const)("iptables-%s", (variant) => {
  const bulk = () => iptablesBulk({ variant, prefix: host.enter([]) });
  const TEXT = `*nat
:ONE-CHAIN - [0:0]
-A ONE-CHAIN -s 10.0.0.1/32 -j RETURN
-A ONE-CHAIN -j RETURN
COMMIT
`;

  test("text goes in, and the rules of a chain come out", async () => {
    await bulk().restore(4, TEXT);
    expect(await bulk().rules(4, "nat", "ONE-CHAIN")).toEqual([
      "-A ONE-CHAIN -s 10.0.0.1/32 -j RETURN",
      "-A ONE-CHAIN -j RETURN",
    ]);
    expect(await bulk().rules(4, "nat", "PREROUTING")).toEqual([]);
    expect(await bulk().rules(4, "nat", "NO-CHAIN")).toBeUndefined();
    expect(await bulk().rules(6, "mangle", "NO-CHAIN")).toBeUndefined();
  });

  test("a table may come several times, each time whole or not at all", async () => {
    const [first, second] = ["*filter\n:A-B - [0:0]\nCOMMIT\n", "*filter\n-X A-B\n-X C-D\nCOMMIT\n"];
    await expect(bulk().restore(4, first + TEXT + second)).rejects.toMatchObject({ code: "not-found" });
    expect(await bulk().rules(4, "filter", "A-B")).toEqual([]);
    expect(await bulk().rules(4, "nat", "ONE-CHAIN")).toHaveLength(2);
  });

  test("a listing comes line by line, for as long as somebody listens", async () => {
    await bulk().restore(4, TEXT);
    const lines: string[] = [];
    await bulk().save(4, "nat", (line) => {
      lines.push(line.replace(/ \[.*/, ""));
      return undefined;
    });
    expect(lines).toContain(":ONE-CHAIN -");
    expect(lines.filter((line) => line.startsWith("-A ONE-CHAIN"))).toHaveLength(2);
    expect(lines.some((line) => line.startsWith("#"))).toBe(false);
    let count = 0;
    await bulk().save(4, undefined, () => ++count < 2);
    expect(count).toBe(2);
  });
});

test("a table that iptables cannot read is no empty one", async () => {
  await host.sh(
    "iptables-nft -t nat -A PREROUTING -j RETURN; nft add rule ip nat PREROUTING fib daddr type local counter",
  );
  const bulk = iptablesBulk({ variant: "nft", prefix: host.enter([]) });
  await expect(bulk.save(4, "nat", () => undefined)).rejects.toMatchObject({ code: "conflict" });
  await expect(bulk.rules(4, "nat", "PREROUTING")).rejects.toMatchObject({ code: "conflict" });
});
