import { afterAll, beforeAll, expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";

let host: Host;
beforeAll(async () => {
  host = await Host.create();
});
afterAll(() => host.destroy());

const NETNS = `${import.meta.dirname}/../../../lib/sys/netns.ts`;
const NAMESPACES = `${import.meta.dirname}/../../../lib/sys/namespaces.ts`;
const run = (code: string) => host.ok([process.execPath, "-e", code]);

test("a namespace that was made is one that ip knows, and the process that made it is where it was", async () => {
  const code = `const { addNetns, openOwnNetns } = await import("${NETNS}");
    const before = openOwnNetns().inode;
    console.log(await addNetns("made"), openOwnNetns().inode === before);`;
  expect(await run(code)).toBe("/run/netns/made true\n");
  expect(await host.sh("ip netns list")).toBe("made\n");
  expect(await host.sh("ip -n made -o link | sed 's/^[0-9]*: //; s/:.*//'")).toBe("lo\n");
});

test("a name that is taken is an error of its own, and what is there stays", async () => {
  const code = `const { addNetns } = await import("${NETNS}");
    await addNetns("made").catch(({ code, message }) => console.log(code, message));`;
  expect(await run(code)).toBe("exists cannot make the network namespace made: open /run/netns/made: EEXIST\n");
  expect(await host.sh("ip netns list")).toBe("made\n");
});

test("a name that is taken away is gone in other mount namespaces too, as with ip", async () => {
  const holder = host.spawn(["unshare", "--mount", "--propagation", "slave", "sleep", "1000"]);
  try {
    await expect.poll(() => host.sh("pgrep -x sleep || true")).not.toBe("");
    expect(await run(`await (await import("${NETNS}")).removeNetns("made");`)).toBe("");
    expect(await host.sh("ip netns list; ls /run/netns")).toBe("");
    expect(await host.sh('grep -c /run/netns/made "/proc/$(pgrep -x sleep)/mounts" || true')).toBe("0\n");
  } finally {
    holder.kill();
  }
});

test("an empty file that a kill left of a namespace goes as well", async () => {
  await host.sh("touch /run/netns/half");
  expect(await run(`await (await import("${NETNS}")).removeNetns("half");`)).toBe("");
  expect(await host.sh("ls /run/netns")).toBe("");
});

test("the host name is that of the other namespace alone", async () => {
  const mine = await host.sh("hostname");
  const holder = host.spawn(["unshare", "--uts", "sleep", "1001"]);
  try {
    await expect.poll(() => host.sh("pgrep -f '^sleep 1001' || true")).not.toBe("");
    const pid = (await host.sh("pgrep -f '^sleep 1001'")).trim();
    await run(`(await import("${NAMESPACES}")).nameHostOf(${pid}, "another");`);
    expect(await host.sh(`nsenter --target ${pid} --uts hostname; hostname`)).toBe(`another\n${mine}`);
  } finally {
    holder.kill();
  }
});
