import { afterEach, describe, expect, it } from "vitest";
import { type Host, PLUGINS } from "./host.ts";
import { type PortmapConf, publish, remove, tcp, udp } from "./published.ts";
import { world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

// More than any ADD makes of one call: a bound on the loop, not an expectation.
const MOST_CALLS = 200;

const env = { CNI_CONTAINERID: "web", CNI_NETNS: "/run/netns/web", CNI_IFNAME: "eth0", CNI_PATH: PLUGINS };

/** Runs ADD and has the kernel kill it at the Nth `call` of any of its threads or children; false if it ended by itself. */
async function killedAt(call: string, nth: number, conf: object): Promise<boolean> {
  const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:signal=SIGKILL:when=${nth}`];
  const argv = ["strace", "-f", "-qq", "-o", "/dev/null", ...inject, `${PLUGINS}/portmap`];
  const { exitCode } = await host.run(argv, { stdin: JSON.stringify(conf), env: { ...env, CNI_COMMAND: "ADD" } });
  return exitCode !== 0;
}

async function verb(command: string, conf: object): Promise<void> {
  const out = await host.cni(command, "portmap", conf, { id: "web", netns: "/run/netns/web" });
  expect(out, `${command}: ${out.stdout}${out.stderr}`).toMatchObject({ exitCode: 0 });
}

/** The host with what published ports change beside rules. */
async function everything(): Promise<string> {
  return (await host.snapshot()) + (await host.ok(["sysctl", "net.ipv4.conf.br0.route_localnet"]));
}

function gcConf({ runtimeConfig: _, prevResult: __, ...conf }: PortmapConf): object {
  return { ...conf, "cni.dev/valid-attachments": [] };
}

describe.each(["iptables", "nftables"])("an ADD that publishes by %s", (backend) => {
  it.each(["rename", "write", "sendto"])(
    "killed at any %s is made good by DEL alone, and by GC alone, and a new ADD works",
    async (call) => {
      host = await world();
      const portmap = { backend };
      const first = await publish(host, "web", { ports: [], portmap });
      const conf = { ...first, runtimeConfig: { portMappings: [tcp(8080), udp(8053)] } };
      const before = await everything();
      for (let nth = 1; nth < MOST_CALLS; nth++) {
        for (const repair of ["DEL", "GC"]) {
          if (!(await killedAt(call, nth, conf))) {
            await verb("DEL", conf);
            expect(await everything()).toBe(before);
            await remove(host, "web", conf);
            return void expect(nth, `ADD makes no ${call}: the test has lost its subject`).toBeGreaterThan(1);
          }
          await verb(repair, repair === "GC" ? gcConf(conf) : conf);
          expect(await everything(), `after ADD was killed at ${call} number ${nth} and ${repair}`).toBe(before);
          await verb("ADD", conf);
          await verb("CHECK", conf);
          await verb("DEL", conf);
          expect(await everything()).toBe(before);
        }
      }
      throw new Error(`ADD makes more than ${MOST_CALLS} ${call}`);
    },
    300_000,
  );
});
