import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";
import { normalise } from "../../lib/nft/kernel.ts";
import { BackendAgent } from "./agent.ts";
import { dozen, tableOf } from "./tables.ts";

let host: Host;
beforeAll(async () => {
  host = await Host.create();
});
afterAll(() => host.destroy());
beforeEach(() => host.ok(["nft", "flush", "ruleset"]));

const nft = (text: string) => host.ok(["nft", "-f", "-"], { stdin: text });
const listed = async () => normalise(await host.ok(["nft", "-s", "list", "table", "ip", "tsnet-proxy"]));

describe("what somebody took away is noticed, and put back (rows 14 and 15)", () => {
  test.each([
    ["the whole table", "delete table ip tsnet-proxy"],
    ["all rules there are", "flush ruleset"],
    ["the rules of a chain", "flush chain ip tsnet-proxy dispatch"],
    ["all elements of a map", "flush map ip tsnet-proxy endpoints-tcp"],
    ["one element", "delete element ip tsnet-proxy services { 10.96.0.2 . tcp . 80 }"],
    ["something added", "add element ip tsnet-proxy services { 10.96.7.7 . tcp . 80 : goto pick-1 }"],
    ["a rule added", "insert rule ip tsnet-proxy dispatch drop"],
    [
      "a chain deleted",
      "flush map ip tsnet-proxy services; flush chain ip tsnet-proxy external-3; delete chain ip tsnet-proxy external-3",
    ],
  ])("%s", async (_, damage) => {
    await using backend = BackendAgent.start(host, {});
    await backend.replace(dozen(4));
    const before = await listed();
    expect(await backend.intact()).toBe(true);
    await nft(damage);
    expect(await backend.intact()).toBe(false);
    expect(await backend.audit()).not.toEqual([]);
    await backend.replace(dozen(4));
    await backend.sweep();
    expect(await backend.intact()).toBe(true);
    expect(await backend.audit()).toEqual([]);
    expect((await listed()).split("\n").sort()).toEqual(before.split("\n").sort());
  });

  test("an audit names what is missing, too much and different", async () => {
    await using backend = BackendAgent.start(host, {});
    await backend.replace(dozen(4));
    await nft(`
      delete element ip tsnet-proxy endpoints-tcp { 10.96.0.2 . 80 . 1 }
      delete element ip tsnet-proxy endpoints-tcp { 10.96.0.4 . 80 . 32768 }
      add element ip tsnet-proxy endpoints-tcp { 10.96.0.4 . 80 . 32768 : 10.244.9.9 . 80 }
      add element ip tsnet-proxy hairpin { 10.9.9.9 . 10.9.9.9 . udp . 53 }
      delete element ip tsnet-proxy ranges { 192.0.2.102 . tcp . 80 . 203.0.113.0/24 }
      delete element ip tsnet-proxy unserved { 10.96.0.5 . tcp . 80 }
    `);
    expect([...(await backend.audit())].sort()).toEqual([
      "endpoints-tcp has 10.96.0.4 . 80 . 32768 : 10.244.9.9 . 80 instead of another value",
      "endpoints-tcp lacks 10.96.0.2 . 80 . 1 : 10.244.2.11 . 8080",
      "hairpin has 10.9.9.9 . 10.9.9.9 . udp . 53 too much",
      "ranges lacks 192.0.2.102 . tcp . 80 . 203.0.113.0-203.0.113.255",
      "unserved lacks 10.96.0.5 . tcp . 80 : drop",
    ]);
  });

  test("clients that are learned are no damage", async () => {
    await using backend = BackendAgent.start(host, {});
    await backend.replace(dozen(4));
    await nft("add element ip tsnet-proxy affinity/shop/session/tcp/http/8080 { 10.9.0.1 : 10.244.1.11 }");
    expect(await backend.intact()).toBe(true);
    expect(await backend.audit()).toEqual([]);
  });
});

describe("a change that the kernel refuses", () => {
  // An address that another service has.
  const withBad = () => {
    const bad = tableOf([{ name: "z/bad", n: 2, here: [9] }], 4);
    return { ...dozen(4), services: { ...dozen(4).services, ...bad.services } };
  };

  test("leaves what was there, names the element, and asks for the whole table", async () => {
    await using backend = BackendAgent.start(host, {});
    await backend.replace(dozen(4));
    const before = await listed();
    await expect(backend.update(withBad())).rejects.toThrow(
      "add element ip tsnet-proxy services { 10.96.0.2 . tcp . 80 : goto pick-1 }: the key is there with another value",
    );
    expect(await listed()).toBe(before);
    await expect(backend.update(dozen(4))).rejects.toThrow("nothing is committed");
    await backend.replace(dozen(4));
    expect(await listed()).toBe(before);
  });

  test("leaves nothing where nothing was", async () => {
    await using backend = BackendAgent.start(host, {});
    await expect(backend.replace(withBad())).rejects.toThrow("10.96.0.2 . tcp . 80");
    expect(await backend.present()).toBe(false);
    expect(await host.ok(["nft", "list", "tables"])).toBe("");
  });
});

describe("what an earlier life left", () => {
  test("of another layout is replaced whole", async () => {
    await nft(`
      table ip tsnet-proxy {
        comment "services by tsnet proxy, layout 0"
        map services { typeof ip daddr : verdict; }
        chain nat-prerouting { type nat hook prerouting priority -150; ip daddr vmap @services; }
        chain old { type filter hook forward priority 0; drop; }
      }`);
    await using backend = BackendAgent.start(host, {});
    expect(await backend.present()).toBe(true);
    await backend.replace(dozen(4));
    expect(await listed()).not.toContain("chain old");
    expect(await backend.audit()).toEqual([]);
  });

  test("of this layout by name, yet made otherwise by somebody, is replaced whole", async () => {
    await nft(`
      table ip tsnet-proxy {
        comment "services by tsnet proxy, layout 1"
        map services { typeof ip daddr : verdict; }
        chain nat-prerouting { type filter hook forward priority 7; }
      }`);
    await using backend = BackendAgent.start(host, {});
    await backend.replace(dozen(4));
    expect(await backend.audit()).toEqual([]);
  });

  test("services that are gone: their chains and sets are swept", async () => {
    {
      await using backend = BackendAgent.start(host, {});
      await backend.replace(dozen(4));
    }
    await using backend = BackendAgent.start(host, {});
    // Affinity is what keeps the table that is there.
    await backend.replace(tableOf([{ name: "a/one", n: 1, here: [1, 2, 3, 4], affinitySeconds: 60 }], 4));
    expect(await listed()).toContain("learn/shop/session");
    await backend.sweep();
    const left = await listed();
    expect(left).not.toContain("shop/session");
    expect(left.match(/chain \S*pick-\d+/g)).toEqual(["chain pick-4"]);
    expect(await backend.intact()).toBe(true);
  });
});

test("somebody who changes other rules all the time is in nobody's way", async () => {
  await using backend = BackendAgent.start(host, {});
  // Enough rules that the kernel tells them in several parts, between which they change.
  const many = (last: readonly number[]) =>
    tableOf(
      Array.from({ length: 100 }, (_, i) => ({
        name: `a/s${i}`,
        n: i + 1,
        here: i === 0 ? last : [1],
        affinitySeconds: 60,
      })),
      4,
    );
  await backend.replace(many([1]));
  const busy = host.spawn([
    "sh",
    "-c",
    "nft 'add table ip other; add chain ip other c'; while [ ! -e /run/enough ]; do nft 'add rule ip other c drop; flush chain ip other c'; done",
  ]);
  try {
    for (let round = 0; round < 30; round++) {
      await backend.update(many(round % 2 === 0 ? [1, 2] : [1]));
      expect(await backend.intact()).toBe(true);
    }
    await backend.replace(many([2]));
    expect(await backend.audit()).toEqual([]);
  } finally {
    await host.sh("touch /run/enough");
    await busy.exited;
  }
});

test("a chain that is held when it would go is whole when it is used again", async () => {
  const one = (here: readonly number[]) => tableOf([{ name: "a/one", n: 1, here }], 4);
  await using backend = BackendAgent.start(host, {});
  await backend.replace(one([1, 2]));
  // As kernels before 6.2 hold on to it.
  await nft("add rule ip tsnet-proxy dispatch ip daddr 10.9.9.9 goto pick-2");
  const rules = () => host.ok(["nft", "-s", "list", "chain", "ip", "tsnet-proxy", "pick-2"]);
  const whole = await rules();
  await backend.update(one([1, 2, 3]));
  await backend.sweep();
  await backend.update(one([1, 2]));
  expect(await rules()).toBe(whole);
});

describe("only our own table is read or written (row 9)", () => {
  const OTHERS = `
    table ip kube-proxy {
      chain services { counter; }
    }
    table ip6 kube-proxy {
      chain services { counter; }
    }
    table inet theirs {
      set s { type ipv4_addr; elements = { 10.0.0.1 }; }
      chain c { type filter hook input priority 0; ip saddr @s accept; }
    }
    add table ip tsnet-proxy-2`;

  test("the other proxy's table of the same family goes, unread; everybody else's stays", async () => {
    await nft(OTHERS);
    await using backend = BackendAgent.start(host, {});
    await backend.replace(dozen(4));
    await backend.remove();
    expect(await host.ok(["nft", "list", "tables"])).toBe(
      "table ip6 kube-proxy\ntable inet theirs\ntable ip tsnet-proxy-2\n",
    );
    await backend.remove();
  });

  test("no message to the kernel asks for all tables, and none names another one", async () => {
    await nft(OTHERS);
    const backend = BackendAgent.start(host, {}, [
      "strace",
      "-f",
      "-e",
      "trace=sendto",
      "-s",
      "120",
      "-o",
      "/run/trace",
    ]);
    await backend.replace(dozen(4));
    await backend.update({ ...dozen(4), services: {} });
    await backend.replace(dozen(4));
    await backend.sweep();
    expect([await backend.intact(), await backend.audit(), await backend.present()]).toEqual([true, [], true]);
    await backend.stop();
    const trace = await host.ok(["cat", "/run/trace"]);
    const gets = trace.split("\n").filter((line) => /NFT_MSG_GET/.test(line));
    expect(gets.length).toBeGreaterThan(10);
    // "tsnet-proxy" in the attributes, which strace prints as bytes.
    const name = Buffer.from("tsnet-proxy\0").toString("hex").replace(/../g, "\\x$&");
    expect(gets.filter((line) => !line.includes(name))).toEqual([]);
    expect(trace).not.toContain("execve");
  });
});
