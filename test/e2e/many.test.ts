import { afterEach, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { bridgeConf, world } from "./world.ts";

const CONTAINERS = 200;
const AT_ONCE = 32;

let host: Host;
afterEach(() => host.destroy());

/** Runs `work` for every name, `AT_ONCE` at a time. */
async function forAll<T>(names: readonly string[], work: (name: string) => Promise<T>): Promise<readonly T[]> {
  const results: T[] = [];
  const queue = [...names];
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) results.push(await work(name));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

it.each(["iptables", "nftables"])(
  `${CONTAINERS} ADDs, ${AT_ONCE} at a time, give as many addresses, all reachable, and as many DELs leave nothing, on %s`,
  async (ipMasqBackend) => {
    host = await world();
    const conf = bridgeConf({
      ipMasq: true,
      ipMasqBackend,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.11.0.0/24" }]] },
    });
    const names = Array.from({ length: CONTAINERS }, (_, i) => `n${i}`);
    await host.ok(["ip", "-batch", "-"], { stdin: names.map((name) => `netns add ${name}\n`).join("") });
    await host.cni("ADD", "bridge", conf, { id: "n0", netns: "/run/netns/n0" });
    await host.cni("DEL", "bridge", conf, { id: "n0", netns: "/run/netns/n0" });
    const before = await host.snapshot();

    const addresses = await forAll(names, async (id) => {
      const out = await host.cni("ADD", "bridge", conf, { id, netns: `/run/netns/${id}` });
      expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
      return (out.json as { ips: { address: string }[] }).ips[0]?.address.split("/")[0] ?? "";
    });
    expect(new Set(addresses).size).toBe(CONTAINERS);
    await forAll(addresses, (address) => host.ok(["busybox", "ping", "-c1", "-W2", address]));

    await forAll(names, async (id) => {
      const out = await host.cni("DEL", "bridge", conf, { id, netns: `/run/netns/${id}` });
      expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
    });
    expect(await host.snapshot()).toBe(before);
  },
  180_000,
);
