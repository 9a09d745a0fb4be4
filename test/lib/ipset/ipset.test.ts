import { afterEach, beforeEach, expect, test } from "vitest";
import { realIpset } from "../../../lib/ipset/ipset.ts";
import { IpsetTransaction } from "../../../lib/ipset/transaction.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
beforeEach(async () => {
  host = await Host.create();
});
afterEach(() => host.destroy());

const ipset = () => realIpset({ prefix: host.enter([]) });

test("sets are made in both families, keep their entries when made again, and go", async () => {
  const both = () => new IpsetTransaction().create({ name: "four", family: 4 }).create({ name: "six", family: 6 });
  await ipset().run(both());
  await host.sh("ipset add four 10.0.0.1 timeout 60; ipset add six fd00::1");
  await ipset().run(both());
  expect([...(await ipset().names())].sort()).toEqual(["four", "six"]);
  expect(await host.ok(["ipset", "list", "four"])).toContain("10.0.0.1 timeout");
  await ipset().run(new IpsetTransaction().flush("four").destroy("six"));
  expect(await host.ok(["ipset", "list", "four"])).not.toContain("10.0.0.1");
  expect(await ipset().names()).toEqual(["four"]);
});

test("rules put more clients into a set than a set of the usual size would take", async () => {
  await ipset().run(new IpsetTransaction().create({ name: "clients", family: 4 }));
  await host.sh(`
    ip addr add 10.7.0.0/20 dev lo
    iptables -t mangle -A OUTPUT -p udp -j SET --add-set clients src --exist --timeout 600`);
  const send = `for (let n = 1; n <= 4000; n++) {
    const socket = await Bun.udpSocket({ hostname: \`10.7.\${n >> 8}.\${n & 255}\` });
    socket.send("x", 9, "10.7.0.1"); socket.close(); }`;
  await host.sh("ip route add local 10.7.0.0/20 dev lo 2>/dev/null || true");
  await host.ok([process.execPath, "-e", send], { env: { BUN_BE_BUN: "1" } });
  expect(await host.ok(["ipset", "list", "-terse", "clients"])).toContain("Number of entries: 4000");
});

test.each([
  ["a set that a rule names is busy", "busy", (tx: IpsetTransaction) => tx.destroy("used")],
  [
    "one of another form is in the way",
    "exists",
    (tx: IpsetTransaction) => tx.create({ name: "used", family: 4, most: 10 }),
  ],
  ["one that is not there cannot be emptied", "not-found", (tx: IpsetTransaction) => tx.flush("nobody")],
] as const)("%s", async (_what, code, change) => {
  await ipset().run(new IpsetTransaction().create({ name: "used", family: 4 }));
  await host.sh("iptables -A INPUT -m set --match-set used src -j ACCEPT");
  await expect(ipset().run(change(new IpsetTransaction()))).rejects.toMatchObject({ code });
});

test("one that is not there is fine to be destroyed, and nothing is fine to be done", async () => {
  await ipset().run(new IpsetTransaction().destroy("nobody"));
  expect(new IpsetTransaction().empty).toBe(true);
  await ipset().run(new IpsetTransaction());
});

test("a name that ipset would cut or take for an option is refused", () => {
  for (const name of ["", "a b", "x".repeat(32), "a\ndestroy b"]) {
    expect(() => new IpsetTransaction().destroy(name)).toThrow(/not a name of a set/);
  }
});

test("without ipset the error says to install it", async () => {
  const missing = realIpset({ prefix: ["/nowhere/to/be/found"] });
  await expect(missing.names()).rejects.toMatchObject({ code: "not-found" });
});
