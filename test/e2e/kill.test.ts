import { afterEach, describe, expect, it } from "vitest";
import { type Host, PLUGINS } from "./host.ts";
import { bridgeConf, world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

// More than any ADD makes of one call in one thread: a bound on the loop, not an expectation.
const MOST_CALLS = 400;

/** Runs ADD and has the kernel kill it at the Nth `call` of any of its threads or children; false if it ended by itself. */
async function killedAt(call: string, nth: number, conf: object): Promise<boolean> {
  const trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${call}:signal=SIGKILL:when=${nth}`];
  const { exitCode } = await host.run([...trace, `${PLUGINS}/bridge`], {
    stdin: JSON.stringify(conf),
    env: { CNI_COMMAND: "ADD", CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/c1", CNI_IFNAME: "eth0", CNI_PATH: PLUGINS },
  });
  return exitCode !== 0;
}

const verb = async (command: string, conf: object) => {
  const out = await host.cni(command, "bridge", conf, { id: "c1", netns: "/run/netns/c1" });
  expect(out, `${command}: ${out.stdout}${out.stderr}`).toMatchObject({ exitCode: 0 });
};

describe.each(["iptables", "nftables"])("an ADD that masquerades by %s", (ipMasqBackend) => {
  const conf = bridgeConf({ cniVersion: "1.1.0", ipMasq: true, ipMasqBackend });

  it.each(["sendto", "openat", "linkat", "renameat", "execve", "setns", "mkdirat", "write", "unlink"])(
    "killed at any %s is made good by DEL alone, and by GC alone, and a new ADD works",
    async (call) => {
      host = await world();
      await host.addNetns("c1");
      await verb("ADD", conf);
      await verb("DEL", conf);
      const before = await host.snapshot();
      let nth = call === "execve" ? 2 : 1;
      for (; nth < MOST_CALLS; nth++) {
        for (const repair of ["DEL", "GC"]) {
          if (!(await killedAt(call, nth, conf))) {
            await verb("DEL", conf);
            expect(await host.snapshot()).toBe(before);
            return;
          }
          await verb(repair, repair === "GC" ? { ...conf, "cni.dev/valid-attachments": [] } : conf);
          expect(await host.snapshot(), `after ADD was killed at ${call} number ${nth} and ${repair}`).toBe(before);
          await verb("ADD", conf);
          await verb("DEL", conf);
          expect(await host.snapshot()).toBe(before);
        }
      }
      throw new Error(`ADD makes more than ${MOST_CALLS} ${call}`);
    },
    600_000,
  );
});
