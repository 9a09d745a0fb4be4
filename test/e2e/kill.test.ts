import { afterEach, describe, expect, it } from "vitest";
import { type Host, PLUGINS } from "./host.ts";
import { killedAt } from "./killed.ts";
import { bridgeConf, world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

// More than any ADD makes of one call in one thread: a bound on the loop, not an expectation.
const MOST_CALLS = 400;
// The first calls of a kind are made good by each, the others by one and the other in turn.
const repairsAt = (nth: number) => (nth <= 4 ? ["DEL", "GC"] : [nth % 2 === 0 ? "GC" : "DEL"]);

const verb = async (command: string, conf: object) => {
  const out = await host.cni(command, "bridge", conf, { id: "c1", netns: "/run/netns/c1" });
  expect(out, `${command}: ${out.stdout}${out.stderr}`).toMatchObject({ exitCode: 0 });
};

describe.each(["iptables", "nftables"])("an ADD that masquerades by %s", (ipMasqBackend) => {
  const conf = bridgeConf({ cniVersion: "1.1.0", ipMasq: true, ipMasqBackend });

  it.each(["sendto", "openat", "link", "rename", "setns", "write", "unlink"])(
    "killed at any %s is made good by DEL alone, and by GC alone, and a new ADD works",
    async (call) => {
      host = await world();
      await host.addNetns("c1");
      await verb("ADD", conf);
      await verb("DEL", conf);
      const before = await host.snapshot();
      for (let nth = 1; nth < MOST_CALLS; nth++) {
        for (const repair of repairsAt(nth)) {
          if (!(await killedAt(host, { plugin: "bridge", conf, call, nth }))) {
            await verb("DEL", conf);
            expect(await host.snapshot()).toBe(before);
            return void expect(nth, `ADD makes no ${call}: the test has lost its subject`).toBeGreaterThan(1);
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

  // A child that is started goes on when the plugin dies, and applies its rules later (containers.md row 9).
  it.each([
    ["before the program does its work", "kill -9 $PPID; sleep 0.2; exec"],
    ["before the program starts", "kill -9 $PPID; exit 1;"],
  ])(
    "containers row 9: killed at any exec, %s, is made good by DEL alone, and by GC alone, and a new ADD works",
    async (_, script) => {
      host = await world();
      await host.addNetns("c1");
      await verb("ADD", conf);
      await verb("DEL", conf);
      const before = await host.snapshot();
      for (let nth = 1; nth < MOST_CALLS; nth++) {
        for (const repair of ["DEL", "GC"]) {
          if (!(await killedAtExec(nth, script, conf))) {
            await verb("DEL", conf);
            expect(await host.snapshot()).toBe(before);
            return void expect(nth, "ADD starts no program: the test has lost its subject").toBeGreaterThan(1);
          }
          await verb(repair, repair === "GC" ? { ...conf, "cni.dev/valid-attachments": [] } : conf);
          expect(await host.snapshot(), `after ADD was killed at exec number ${nth} and ${repair}`).toBe(before);
          await verb("ADD", conf);
          await verb("DEL", conf);
          expect(await host.snapshot()).toBe(before);
        }
      }
    },
  );
});

/** Runs ADD with every program behind a wrapper, the Nth of which kills the plugin; false if ADD ended by itself. */
async function killedAtExec(nth: number, script: string, conf: object): Promise<boolean> {
  await host.sh(`
    rm -rf /run/wrap; mkdir /run/wrap
    for dir in $(echo "$PATH" | tr : ' '); do
      for tool in $dir/nft $dir/*tables* $dir/conntrack; do
        name=\${tool##*/}
        [ -x "$tool" ] && [ ! -e /run/wrap/$name ] || continue
        printf '#!/bin/sh\\necho >>/run/wrap/.count\\n[ $(wc -l </run/wrap/.count) = ${nth} ] || exec %s "$@"\\n${script} %s "$@"\\n' $tool $tool >/run/wrap/$name
        chmod +x /run/wrap/$name
      done
    done`);
  const path = (await host.ok(["printenv", "PATH"])).trim();
  const out = await host.run([`${PLUGINS}/bridge`], {
    stdin: JSON.stringify(conf),
    env: {
      PATH: `/run/wrap:${path}`,
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_PATH: PLUGINS,
    },
  });
  return out.exitCode !== 0;
}
