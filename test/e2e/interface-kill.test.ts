/**
 * An ADD of host-device, macvlan or tap that is killed at any of its system calls: DEL makes it good, and GC what is on
 * the host; a new ADD works.
 */
import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { killedAt } from "./killed.ts";
import { fault, hostLocal, lan } from "./lan.ts";

let host: Host;
afterEach(() => host.destroy());

// More than any ADD makes of one call in one thread: a bound on the loop, not an expectation.
const MOST_CALLS = 100;
const C1 = { id: "c1", netns: "/run/netns/c1" };

describe.each([
  ["host-device", { device: "m0" }, ["DEL", "GC"], ["sendto", "rename"]],
  ["macvlan", { master: "m0" }, ["DEL"], ["sendto"]],
  ["tap", { owner: 1 }, ["DEL"], ["ioctl", "sendto"]],
] as const)("%s", (plugin, keys, repairs, calls) => {
  it.each(calls)("killed at any %s", async (call) => {
    host = await lan();
    await host.addNetns("c1");
    const conf = { cniVersion: "1.1.0", name: "net1", type: plugin, ipam: hostLocal(), ...keys };
    const well = async (verb: string, config: object) =>
      expect(await fault(host, verb, plugin, config, C1), verb).toBe("");
    await well("ADD", conf);
    await well("DEL", conf);
    const before = await look();
    for (let nth = 1; nth < MOST_CALLS; nth++) {
      for (const repair of repairs) {
        if (!(await killedAt(host, { plugin, conf, call, nth }))) {
          await well("DEL", conf);
          return void expect(nth, `ADD makes no ${call}: the test has lost its subject`).toBeGreaterThan(1);
        }
        await well(repair, repair === "GC" ? { ...conf, "cni.dev/valid-attachments": [] } : conf);
        expect(await look(), `after ADD was killed at ${call} number ${nth} and ${repair}`).toBe(before);
        await well("ADD", conf);
        await well("DEL", conf);
      }
    }
    throw new Error(`ADD makes more than ${MOST_CALLS} ${call}`);
  });
});

/** Links of host and container, and what is on file: less than a snapshot, as this is asked for often. */
function look(): Promise<string> {
  return host.sh(`
    ip -o link | sed -E 's/^[0-9]+: //; s/ state .*//; s/(NO-CARRIER,|,LOWER_UP)//g'; ip -n c1 -br link show | cut -d' ' -f1
    find /run/tsnet /var/lib/cni -type f | grep -vE '/(lock|last_reserved_ip[^/]*)$' | sort`);
}
