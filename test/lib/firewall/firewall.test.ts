import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Attachment, Backend, Firewall } from "../../../lib/firewall/types.ts";
import { IptablesTransaction } from "../../../lib/iptables/transaction.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { NftTransaction } from "../../../lib/nft/transaction.ts";
import { addresses, DNS, FakeHost, publish, tcp, udp, WEB } from "./fake-host.ts";

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost(mkdtempSync(join(tmpdir(), "tsnet-firewall-")));
});
afterEach(() => rmSync(host.root, { recursive: true, force: true }));

const web = { masquerade: { addresses: addresses(5) } };
const dns = { masquerade: { addresses: addresses(6) } };
const webPorts = { publish: publish({ mappings: [tcp(8080)] }) };
const dnsPorts = { publish: publish({ mappings: [udp(53)], addresses: addresses(6) }) };
const files = () => readdirSync(host.root, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
const entryFiles = () =>
  files()
    .map((one) => one.name)
    .filter((name) => name !== "lock");

describe.each<Backend>(["nftables", "iptables"])("the firewall on %s", (backend) => {
  let firewall: Firewall;
  beforeEach(async () => {
    firewall = await host.firewall(backend);
  });

  /** What a firewall that never saw anything else holds for these wishes. */
  async function freshDump(...wishes: readonly (readonly [Attachment, Parameters<Firewall["attach"]>[1]])[]) {
    const other = new FakeHost(mkdtempSync(join(tmpdir(), "tsnet-firewall-")));
    const fresh = await other.firewall(backend);
    for (const [attachment, wish] of wishes) await fresh.attach(attachment, wish);
    rmSync(other.root, { recursive: true });
    return sorted(other.dump());
  }

  it("leaves no rule and no file when the last attachment is gone", async () => {
    await firewall.attach(WEB, { ...web, ...webPorts });
    await firewall.attach(DNS, { ...dns, ...dnsPorts });
    await firewall.detach(WEB, ["masquerade", "publish"]);
    expect(sorted(host.dump())).toBe(await freshDump([DNS, { ...dns, ...dnsPorts }]));
    await firewall.detach(DNS, ["masquerade", "publish"]);
    expect(host.dump()).toBe("");
    expect(entryFiles()).toEqual([]);
  });

  it("cni row 12: makes and removes what it knows by one run of a program a family, and lists nothing", async () => {
    const families = backend === "iptables" ? 2 : 1;
    const run = backend === "iptables" ? "iptables-nft run" : "nft run";
    for (const call of [
      () => firewall.attach(WEB, { ...web, ...webPorts }),
      () => firewall.attach(DNS, { ...dns, ...dnsPorts }),
      () => firewall.detach(WEB, ["masquerade", "publish"]),
      () => firewall.detach(DNS, ["masquerade", "publish"]),
    ]) {
      host.calls.length = 0;
      await call();
      expect(host.calls).toEqual(Array(families).fill(run));
    }
  });

  it("has begun its change when it returns, so that the caller's own work goes on beside it", () => {
    void firewall.attach(WEB, web);
    expect(host.calls.length).toBeGreaterThan(0);
  });

  it("adds parts one by one, and removes one without the other", async () => {
    await firewall.attach(WEB, web);
    await firewall.attach(WEB, webPorts);
    expect(sorted(host.dump())).toBe(await freshDump([WEB, web], [WEB, webPorts]));
    await firewall.detach(WEB, ["publish"]);
    expect(sorted(host.dump())).toBe(await freshDump([WEB, web]));
    await firewall.detach(WEB, ["masquerade"]);
    expect(host.dump()).toBe("");
  });

  it("attaches again without a change, and replaces what the attachment had", async () => {
    await firewall.attach(WEB, { ...web, ...webPorts });
    const before = sorted(host.dump());
    await firewall.attach(WEB, { ...web, ...webPorts });
    expect(sorted(host.dump())).toBe(before);
    const changed = { publish: publish({ mappings: [tcp(9090)] }) };
    await firewall.attach(WEB, changed);
    expect(sorted(host.dump())).toBe(await freshDump([WEB, { ...web, ...changed }]));
  });

  it("keeps two interfaces of one container apart", async () => {
    const second = { ...WEB, ifname: "eth1" };
    await firewall.attach(WEB, web);
    await firewall.attach(second, { masquerade: { addresses: addresses(7) } });
    await firewall.detach(WEB, ["masquerade"]);
    expect(sorted(host.dump())).toBe(await freshDump([second, { masquerade: { addresses: addresses(7) } }]));
  });

  it("cni row 4: detaches with nothing but the attachment's names", async () => {
    await firewall.attach(WEB, { ...web, ...webPorts });
    await (await host.firewall()).detach(WEB, ["masquerade", "publish"]);
    expect(host.dump()).toBe("");
  });

  it("cni row 5: collects what is not in the list, of the named network only", async () => {
    const other = { ...WEB, network: "net2" };
    await firewall.attach(WEB, { ...web, ...webPorts });
    await firewall.attach(DNS, { ...dns, ...dnsPorts });
    await firewall.attach(other, { masquerade: { addresses: addresses(9) } });
    await firewall.collect("net1", [DNS], ["masquerade"]);
    await firewall.collect("net1", [DNS], ["publish"]);
    const others = [other, { masquerade: { addresses: addresses(9) } }] as const;
    expect(sorted(host.dump())).toBe(await freshDump([DNS, { ...dns, ...dnsPorts }], others));
    await firewall.collect("net1", [], ["masquerade", "publish"]);
    expect(sorted(host.dump())).toBe(await freshDump(others));
  });

  it("cni row 5: collects what no state tells of, by the tags of the rules", async () => {
    await firewall.attach(WEB, { ...web, ...webPorts });
    await firewall.attach(DNS, { ...dns, ...dnsPorts });
    rmSync(host.root, { recursive: true });
    await firewall.collect("net1", [DNS], ["masquerade", "publish"]);
    expect(sorted(host.dump())).toBe(await freshDump([DNS, { ...dns, ...dnsPorts }]));
  });

  it.each([
    ["any address against any", {}, {}],
    ["any address against one", {}, { hostIp: parseAddress("192.0.2.1") }],
    ["one address against any", { hostIp: parseAddress("192.0.2.1") }, {}],
    ["one address against the same", { hostIp: parseAddress("192.0.2.1") }, { hostIp: parseAddress("192.0.2.1") }],
  ])("cni row 6: refuses a host port that another container has, %s, and names that one", async (_, first, second) => {
    await firewall.attach(WEB, { publish: publish({ mappings: [{ ...tcp(8080), ...first }] }) });
    const before = sorted(host.dump());
    const wish = publish({ mappings: [{ ...tcp(8080), ...second }], addresses: addresses(6) });
    await expect(firewall.attach(DNS, { publish: wish })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/host port .*8080\/tcp is taken: the container net1\/web\/eth0 has/),
    });
    expect(sorted(host.dump())).toBe(before);
    expect(entryFiles()).toHaveLength(1);
  });

  it("cni row 6: sees the holder in the rules where the state was wiped", async () => {
    await firewall.attach(WEB, webPorts);
    const before = sorted(host.dump());
    rmSync(host.root, { recursive: true });
    const wish = { publish: publish({ mappings: [tcp(8080)], addresses: addresses(6) }) };
    await expect(firewall.attach(DNS, wish)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("net1/web/eth0"),
    });
    expect(sorted(host.dump())).toBe(before);
  });

  it("gives one port to two containers on two addresses of the host, by two protocols, and after the first is gone", async () => {
    const on = (address: string) => ({ ...tcp(8080), hostIp: parseAddress(address) });
    await firewall.attach(WEB, { publish: publish({ mappings: [on("192.0.2.1"), tcp(53)] }) });
    await firewall.attach(DNS, {
      publish: publish({ mappings: [on("192.0.2.2"), udp(53)], addresses: addresses(6) }),
    });
    await firewall.detach(WEB, ["publish"]);
    const third = { ...WEB, containerId: "third" };
    await firewall.attach(third, { publish: publish({ mappings: [tcp(53)], addresses: addresses(7) }) });
  });

  it("refuses one host port for two ports of the container before any change", async () => {
    const wish = { publish: publish({ mappings: [tcp(8080, 80), tcp(8080, 81)] }) };
    await expect(firewall.attach(WEB, wish)).rejects.toMatchObject({ code: "invalid" });
    expect(host.calls).toEqual([]);
  });

  it("cni row 7: reload puts the rules of every recorded attachment back after a flush", async () => {
    await firewall.attach(WEB, { ...web, ...webPorts });
    await firewall.attach(DNS, { ...dns, ...dnsPorts });
    const before = sorted(host.dump());
    await flush(backend);
    await expect(firewall.check(WEB, web)).rejects.toMatchObject({ code: "check-failed" });
    await firewall.reload();
    expect(sorted(host.dump())).toBe(before);
    await firewall.check(WEB, { ...web, ...webPorts });
  });

  it("cni row 7: reload puts a single lost rule back and changes nothing where all is well", async () => {
    await firewall.attach(WEB, { ...web, ...webPorts });
    const before = sorted(host.dump());
    await harm(backend);
    await expect(firewall.check(WEB, web)).rejects.toMatchObject({ code: "check-failed" });
    await firewall.reload();
    expect(sorted(host.dump())).toBe(before);
    host.calls.length = 0;
    await firewall.reload();
    expect(host.calls.filter((call) => call.endsWith("run") && call.startsWith("nft"))).toHaveLength(
      backend === "nftables" ? 1 : 0,
    );
    expect(sorted(host.dump())).toBe(before);
  });

  it("an attach after a flush puts the others' rules back, too", async () => {
    await firewall.attach(WEB, web);
    await flush(backend);
    await firewall.attach(DNS, dns);
    expect(sorted(host.dump())).toBe(await freshDump([WEB, web], [DNS, dns]));
  });

  it("cni row 8: detaches twice, after a flush, after one rule was lost, and what never was", async () => {
    await firewall.detach(WEB, ["masquerade", "publish"]);
    await firewall.attach(WEB, { ...web, ...webPorts });
    await firewall.attach(DNS, dns);
    await harm(backend);
    await firewall.detach(WEB, ["masquerade", "publish"]);
    expect(sorted(host.dump())).toBe(await freshDump([DNS, dns]));
    await flush(backend);
    await firewall.detach(DNS, ["masquerade"]);
    await firewall.detach(DNS, ["masquerade"]);
    expect(host.dump()).toBe("");
    expect(entryFiles()).toEqual([]);
  });

  it("finds its rules by their tag where the state was wiped, and leaves those of others", async () => {
    await firewall.attach(WEB, { ...web, ...webPorts });
    await firewall.attach(DNS, { ...dns, ...dnsPorts });
    rmSync(host.root, { recursive: true });
    await firewall.detach(WEB, ["masquerade", "publish"]);
    expect(sorted(host.dump())).toBe(await freshDump([DNS, { ...dns, ...dnsPorts }]));
    await firewall.detach(DNS, ["masquerade", "publish"]);
    expect(host.dump()).toBe("");
  });

  it("keeps what it has no state of until that one is detached, whatever comes and goes meanwhile", async () => {
    await firewall.attach(WEB, web);
    rmSync(host.root, { recursive: true });
    await firewall.attach(DNS, dns);
    expect(host.dump()).toContain("net1/web/eth0");
    await firewall.detach(DNS, ["masquerade"]);
    expect(sorted(host.dump())).toBe(await freshDump([WEB, web]));
    await firewall.detach(WEB, ["masquerade"]);
    expect(host.dump()).toBe("");
    expect(entryFiles()).toEqual([]);
  });

  it("survives a call that died between its state and its rules", async () => {
    await firewall.attach(WEB, web);
    await flush(backend);
    await firewall.detach(WEB, ["masquerade"]);
    await firewall.attach(WEB, web);
    expect(sorted(host.dump())).toBe(await freshDump([WEB, web]));
  });

  it("finds by their tag the rules of a state file that it cannot read", async () => {
    await firewall.attach(WEB, web);
    await firewall.attach(DNS, dns);
    for (const file of files()) if (file.name !== "lock") writeFileSync(join(file.parentPath, file.name), "{}");
    await firewall.detach(WEB, ["masquerade"]);
    expect(sorted(host.dump())).toBe(await freshDump([DNS, dns]));
  });

  it("removes what a killed call was about to write", async () => {
    await firewall.attach(WEB, web);
    for (const file of files()) if (file.name !== "lock") writeFileSync(join(file.parentPath, ".1-0123abcd.tmp"), "");
    writeFileSync(join(host.root, ".1-0123abcd.tmp"), "");
    await firewall.detach(WEB, ["masquerade"]);
    expect(entryFiles()).toEqual([]);
  });

  it("runs calls of one process one after the other", async () => {
    const names = Array.from({ length: 12 }, (_, i) => ({ ...WEB, containerId: `c${i}` }));
    const wish = (i: number) => ({ masquerade: { addresses: addresses(10 + i) } });
    await Promise.all(names.map((name, i) => firewall.attach(name, wish(i))));
    expect(entryFiles()).toHaveLength(12);
    await firewall.reload();
    await Promise.all(names.map((name, i) => firewall.check(name, wish(i))));
    await Promise.all(names.map((name) => firewall.detach(name, ["masquerade"])));
    expect(host.dump()).toBe("");
  });

  it("an address belongs to whom it was given last: a late detach of the former owner does not take it away", async () => {
    await firewall.attach(WEB, web);
    await firewall.attach(DNS, web);
    await firewall.check(DNS, web);
    await firewall.detach(WEB, ["masquerade"]);
    await firewall.check(DNS, web);
    await firewall.detach(DNS, ["masquerade"]);
    expect(host.dump()).toBe("");
  });

  it("so does the way back through the host from its own subnet, beside ports that each of them keeps", async () => {
    const [former, latter] = [publish({ mappings: [tcp(8080)] }), publish({ mappings: [tcp(9090)] })];
    await firewall.attach(WEB, { publish: former });
    await firewall.attach(DNS, { publish: latter });
    await firewall.check(DNS, { publish: latter });
    await firewall.detach(WEB, ["publish"]);
    await firewall.check(DNS, { publish: latter });
    await firewall.detach(DNS, ["publish"]);
    expect(host.dump()).toBe("");
  });

  it("leaves nothing of an attach that the filter refuses, and keeps what was there", async () => {
    await firewall.attach(WEB, web);
    const before = sorted(host.dump());
    const wish = publish({
      mappings: [tcp(8080)],
      externalSetMarkChain: "NO-SUCH",
      addresses: addresses(6).slice(0, 1),
    });
    const broken = backend === "iptables" ? wish : { ...wish, conditionsV4: ["ip saddr @nothing"] };
    await expect(firewall.attach(DNS, { publish: broken })).rejects.toBeInstanceOf(Error);
    expect(sorted(host.dump())).toBe(before);
    expect(entryFiles()).toHaveLength(1);
  });
});

it("detaches from the back end that it was attached to, whatever is chosen now", async () => {
  await (await host.firewall("iptables")).attach(WEB, { ...web, ...webPorts });
  await (await host.firewall("nftables")).detach(WEB, ["masquerade", "publish"]);
  expect(host.dump()).toBe("");
});

it("moves an attachment to the other back end when it is attached anew", async () => {
  await (await host.firewall("iptables")).attach(WEB, web);
  const firewall = await host.firewall("nftables");
  await firewall.attach(WEB, web);
  expect(host.iptables.nft.dump(4)).toBe("");
  await firewall.check(WEB, web);
  expect(entryFiles()).toHaveLength(1);
});

it("containers row 5: never leads [::1] anywhere, which the kernel does not route", async () => {
  const firewall = await host.firewall("nftables");
  await firewall.attach(WEB, { publish: publish({ mappings: [{ ...tcp(8080), hostIp: parseAddress("::1") }] }) });
  expect(host.dump()).toBe("");
  await firewall.attach(WEB, webPorts);
  expect(host.nft.dump()).toContain("ip6 daddr ::1 return");
});

/** Containers' rules stand in the order of their coming, which changes nothing. */
function sorted(dump: string): string {
  return dump.split("\n").sort().join("\n");
}

async function flush(backend: Backend): Promise<void> {
  if (backend === "nftables") {
    await host.nft.run(new NftTransaction().deleteTable("inet", "tsnet"));
    return;
  }
  for (const family of [4, 6] as const) {
    const tx = new IptablesTransaction();
    const saved = await host.iptables.nft.save(family);
    for (const [table, { chains }] of saved) {
      for (const chain of chains.keys()) tx.flushChain(table as "nat", chain);
      for (const { chain, policy } of chains.values()) if (policy === undefined) tx.deleteChain(table as "nat", chain);
    }
    await host.iptables.nft.run(family, tx);
  }
}

/** Takes one rule of the container `web` away. */
async function harm(backend: Backend): Promise<void> {
  if (backend === "nftables") {
    const set = { family: "inet", table: "tsnet", set: "masquerade4" } as const;
    await host.nft.run(new NftTransaction().deleteElement({ ...set, key: "198.51.100.5" }));
    return;
  }
  const chains = (await host.iptables.nft.save(4)).get("nat")?.chains;
  const rule = chains?.get("TSNET-MASQUERADE")?.rules.find(({ text }) => text.includes("198.51.100.5"));
  await host.iptables.nft.run(4, new IptablesTransaction().delete("nat", "TSNET-MASQUERADE", rule?.text ?? ""));
}
