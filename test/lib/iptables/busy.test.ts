import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { isTsnetError } from "../../../lib/errors.ts";
import { IptablesTransaction } from "../../../lib/iptables/transaction.ts";
import { lockFile } from "../../../lib/sys/files.ts";
import { kernelIptables } from "./kernel.ts";

let kernel: Awaited<ReturnType<typeof kernelIptables>>;
beforeAll(async () => {
  kernel = await kernelIptables("legacy");
});
afterAll(() => kernel.close());

/** Somebody on the host takes the xtables lock; returns how to make them let it go. */
async function holdLock(): Promise<() => Promise<unknown>> {
  await kernel.host.sh("rm -f /run/gate; mkfifo /run/gate");
  const holder = kernel.host.spawn(["flock", "/run/xtables.lock", "sh", "-c", "echo held; read line </run/gate"]);
  await holder.stdout.getReader().read();
  return async () => {
    await kernel.host.sh("echo >/run/gate");
    await holder.exited;
  };
}

test("a lock that stays held ends in busy after 5 s, and nothing is changed, now or later", async () => {
  const letGo = await holdLock();
  const tx = new IptablesTransaction().newChain("filter", "A").newChain("nat", "A");
  const error = await kernel.iptables.run(4, tx).catch((error) => error);
  expect(isTsnetError(error, "busy"), String(error)).toBe(true);
  expect(String(error)).toMatch(/xtables lock: try again/);
  await letGo();
  expect(await kernel.dump(4)).toBe("");
  await kernel.iptables.run(4, tx);
  expect(await kernel.dump(4)).toBe("*filter\n:A -\nCOMMIT\n*nat\n:A -\nCOMMIT\n");
});

test("a lock that is let go in time is waited for", async () => {
  const letGo = await holdLock();
  const done = kernel.iptables.run(4, new IptablesTransaction().newChain("nat", "B"));
  await letGo();
  await done;
  expect(await kernel.dump(4)).toContain(":B -\n");
});

test("the program keeps the lock that it inherits, though its caller let go", async () => {
  const folder = await mkdtemp(join(tmpdir(), "busy-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "lock");
  const letGo = await holdLock();
  const lock = lockFile(path);
  const done = kernel.iptables.run(4, new IptablesTransaction().newChain("nat", "C"), { inheritFd: lock.fd });
  lock.release();
  expect(() => lockFile(path, 0)).toThrow(expect.objectContaining({ code: "busy" }));
  await letGo();
  await done;
  lockFile(path, 0).release();
});
