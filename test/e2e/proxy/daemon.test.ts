/**
 * The daemon's life: it begins, follows changes, is killed, starts again, ends.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Host } from "../host.ts";
import { clusterIPOf, Daemon, Directory, MODES, type Mode, node, rulesOf, runToEnd, service, until } from "./daemon.ts";

let host: Host;
let manifests: Directory;

beforeAll(async () => {
  host = await Host.create();
});
beforeEach(async () => {
  manifests = await Directory.create();
  await manifests.write("node", node());
});
afterAll(() => host.destroy());

const start = (mode: Mode, ...flags: readonly string[]) => startOn(host, mode, ...flags);
const startOn = (on: Host, mode: Mode, ...flags: readonly string[]) =>
  new Daemon(on, ["--proxy-mode", mode, "--manifests", manifests.path, ...flags]);
const clean = () => runToEnd(host, ["--cleanup"]);

describe.each(MODES)("%s", (mode) => {
  test("changes of manifests become changes of rules, and SIGTERM leaves them in place", async () => {
    await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [2, 3] }));
    const proxy = await start(mode).inPlace();
    await manifests.write("dns", ...service({ name: "dns", n: 11, protocol: "UDP", endpoints: [4] }));
    await until("the new service", async () => (await rulesOf(host, mode)).includes("10.1.0.4"));
    await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [3, 5] }));
    await until("the new endpoint", async () => {
      const rules = await rulesOf(host, mode);
      return rules.includes("10.1.0.5") && !rules.includes("10.1.0.2");
    });
    const before = await rulesOf(host, mode);
    expect(await proxy.stop()).toBe(0);
    expect(await rulesOf(host, mode)).toBe(before);
    expect(before).toContain(clusterIPOf(10));
    await clean();
  });

  test("SIGINT ends it as well", async () => {
    const proxy = await start(mode).inPlace();
    await proxy.signal("INT");
    expect(await proxy.exited).toBe(0);
    await clean();
  });

  test("--once programs what is there and ends, and the same again changes nothing", async () => {
    await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [2, 3] }));
    const once = ["--proxy-mode", mode, "--manifests", manifests.path, "--once"];
    expect(await runToEnd(host, once)).toMatchObject({ exitCode: 0, stdout: "" });
    const rules = await rulesOf(host, mode);
    expect(rules).toContain("10.1.0.3");
    expect(await runToEnd(host, once)).toMatchObject({ exitCode: 0 });
    expect(await rulesOf(host, mode)).toBe(rules);
    await clean();
  });

  test("--dry-run shows the rules and changes nothing", async () => {
    await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [2, 3] }));
    const state = async () =>
      (await host.snapshot()) + (await host.ok(["sysctl", "-a", "--pattern", "conntrack|route_localnet"]));
    await runToEnd(host, ["--proxy-mode", mode, "--manifests", manifests.path, "--dry-run"]);
    const before = await state();
    const { exitCode, stdout } = await runToEnd(host, [
      "--proxy-mode",
      mode,
      "--manifests",
      manifests.path,
      "--dry-run",
    ]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`# ${mode} IPv4`);
    expect(stdout).toContain(`# ${mode} IPv6`);
    expect(stdout).toContain("10.1.0.3");
    expect(await state()).toBe(before);
  });

  test("row 13: killed at any moment and started again it comes to the rules of a fresh start", async () => {
    await using killed = await Host.create();
    for (let n = 0; n < 40; n++) await manifests.write(`s${n}`, ...service({ name: `s${n}`, n, endpoints: [1, 2] }));
    for (let life = 0; life < 8; life++) {
      const proxy = startOn(killed, mode);
      await proxy.logged(/mode chosen/);
      for (let n = 0; n < 40; n += 3) {
        await manifests.write(`s${n}`, ...service({ name: `s${n}`, n, endpoints: [life + 1, (n % 9) + 10] }));
      }
      await Bun.sleep(life * 25);
      await proxy.signal("KILL");
      await proxy.exited;
    }
    await using fresh = await Host.create();
    const rules: (readonly string[])[] = [];
    for (const on of [killed, fresh]) {
      await runToEnd(on, ["--proxy-mode", mode, "--manifests", manifests.path, "--once"]);
      rules.push([await rulesOf(on, mode, 4), await rulesOf(on, mode, 6)]);
    }
    expect(rules[0]).toEqual(rules[1]);
    expect(rules[0]?.[0]).toContain(clusterIPOf(39));
  });

  test("a storm of changes makes few transactions, the first of them at once", async () => {
    const proxy = await start(mode, "--iptables-min-sync-period", "500ms").inPlace();
    const syncs = () => proxy.log.match(/rules changed/g)?.length ?? 0;
    for (let n = 0; n < 300; n++) await manifests.write(`s${n}`, ...service({ name: `s${n}`, n, endpoints: [1] }));
    await until("the last service", async () => (await rulesOf(host, mode)).includes(clusterIPOf(299)));
    expect(syncs()).toBeLessThan(30);
    await proxy.stop();
    await clean();
  });
});
