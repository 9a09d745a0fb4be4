/**
 * ADDs of bandwidth and tuning that are killed in the middle: whatever is there by then, DEL takes it back, of bandwidth
 * also GC, and a new ADD works.
 */
import { afterEach, describe, expect, it } from "vitest";
import { Host } from "./host.ts";
import { killedAt } from "./killed.ts";
import { BOTH, container } from "./shaped.ts";

let host: Host;
afterEach(() => host.destroy());

// More than any ADD makes of one call: a bound on the loop, not an expectation.
const MOST_CALLS = 40;
const BASE = { cniVersion: "1.1.0", name: "net1" };
const TUNED = {
  mac: "0a:00:00:00:00:77",
  mtu: 1400,
  promisc: true,
  sysctl: { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1" },
};

/** The host's links and queues, the container's interface and sysctls, and the back-ups. */
async function everything(): Promise<string> {
  const link = "ip -o link | sed -E 's/ state [A-Z]+//'";
  const inside = `${link}; sysctl net.core.somaxconn net.ipv4.conf.eth0.arp_filter`;
  return await host.sh(`${link}; tc qdisc; ip netns exec c1 sh -c "${inside}"; ls /run/cni/tuning`);
}

describe.each([
  ["bandwidth", BOTH, ["sendto"], ["DEL", "GC"]],
  ["tuning", TUNED, ["sendto", "rename", "write"], ["DEL"]],
] as const)("%s", (plugin, own, calls, repairs) => {
  it.each(calls)("killed at any %s is made good", async (call) => {
    host = await Host.create();
    const prevResult = { ...(await container(host)), cniVersion: "1.1.0" };
    const conf = { ...BASE, type: plugin, ...own, prevResult };
    await host.sh("mkdir -p /run/cni/tuning");
    const verb = async (name: string) => {
      const { prevResult: _, ...alone } = conf;
      const given = name === "GC" ? { ...alone, "cni.dev/valid-attachments": [] } : conf;
      const out = await host.cni(name, plugin, given, { netns: "/run/netns/c1" });
      expect(out, `${name}: ${out.stdout}`).toMatchObject({ exitCode: 0 });
    };
    const before = await everything();
    let killed = 0;
    for (const repair of repairs) {
      for (let nth = 1; nth < MOST_CALLS; nth++) {
        if (!(await killedAt(host, { plugin, conf, call, nth }))) {
          await verb("DEL");
          break;
        }
        killed++;
        await verb(repair);
        expect(await everything(), `after ADD was killed at ${call} number ${nth} and ${repair}`).toBe(before);
      }
    }
    await verb("ADD");
    await verb("DEL");
    expect(await everything()).toBe(before);
    expect(killed, `ADD makes no ${call}: the test has lost its subject`).toBeGreaterThan(0);
  });
});
