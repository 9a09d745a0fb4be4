import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Host, PLUGINS } from "./host.ts";
import { killedAt } from "./killed.ts";
import { addressOf, attach, done, overlayConf, put, putEnv, type Result, usedOnce } from "./overlay-world.ts";
import { world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

describe("an ADD that is killed", () => {
  const conf = overlayConf();

  // The working plugin goes on when its caller dies, and attaches the container after all.
  it.each(["DEL", "GC"])("while the working plugin goes on is made good by %s, which waits for it", async (repair) => {
    await putEnv(host);
    const before = await usedOnce(host, conf);
    await put(
      host,
      "/run/wrap/bridge",
      `#!/bin/sh\n[ "$CNI_COMMAND" = ADD ] && { kill -9 $PPID; sleep 0.5; }\nexec -a bridge ${PLUGINS}/bridge\n`,
    );
    await host.sh("sed -i 's,^#!/bin/sh,#!/bin/bash,' /run/wrap/bridge; chmod +x /run/wrap/bridge");
    await host.addNetns("c1");
    const env = { CNI_PATH: `/run/wrap:${PLUGINS}` };
    const killed = await host.cni("ADD", "overlay", conf, { netns: "/run/netns/c1", env });
    expect(killed).toMatchObject({ exitCode: 137, stdout: "" });
    await done(host, repair, repair === "GC" ? { ...conf, "cni.dev/valid-attachments": [] } : conf);
    await host.ok(["ip", "netns", "del", "c1"]);
    expect(await host.snapshot()).toBe(before);
    await host.sh("sleep 0.6");
    expect(await host.snapshot()).toBe(before);
  });

  it.each(["sendto", "flock", "link", "vfork"])(
    "at any %s, its own or the working plugin's, is made good by DEL alone, and by GC alone, and a new ADD works",
    async (call) => {
      await putEnv(host);
      const before = await usedOnce(host, conf);
      await host.addNetns("c1");
      const there = await host.snapshot();
      expect(there).not.toBe(before);
      for (let nth = 1; nth < 100; nth++) {
        for (const repair of ["DEL", "GC"]) {
          const killed = await killedAt(host, { plugin: "overlay", conf, call, nth });
          await done(host, repair, repair === "GC" ? { ...conf, "cni.dev/valid-attachments": [] } : conf);
          expect(await host.snapshot(), `after ADD was killed at ${call} number ${nth} and ${repair}`).toBe(there);
          if (!killed)
            return void expect(nth, `ADD makes no ${call}: the test has lost its subject`).toBeGreaterThan(1);
        }
        await done(host, "ADD", conf);
        await done(host, "DEL", conf);
        expect(await host.snapshot()).toBe(there);
      }
      throw new Error(`ADD makes more than 100 ${call}`);
    },
    300_000,
  );
});

it("many at once get an address each, and leave nothing", async () => {
  const conf = overlayConf();
  await putEnv(host);
  const before = await usedOnce(host, conf);
  const ids = Array.from({ length: 16 }, (_, at) => `m${at}`);
  const results: readonly Result[] = await Promise.all(ids.map((id) => attach(host, id, conf)));
  expect(new Set(results.map((result) => addressOf(result, 4))).size).toBe(ids.length);
  await Promise.all(ids.map((id) => done(host, "DEL", conf, { id })));
  for (const id of ids) await host.ok(["ip", "netns", "del", id]);
  expect(await host.snapshot()).toBe(before);
});
