/**
 * The kernel says no: at each of a plugin's system calls, and of those of the programs that it starts, once. After it
 * there is an error with a code, nothing is left, and the next call works.
 */
import { afterAll, describe, expect, test } from "vitest";
import { type Injection, Machine } from "./sequence/machine.ts";
import { Model, networkOf } from "./sequence/model.ts";
import { NETWORKS } from "./sequence/networks.ts";
import { compare } from "./sequence/steps.ts";

const PORT = 8001;
// Of many calls of a kind some are picked, evenly: CALLS=1000 takes all.
const MOST = Number(process.env.CALLS ?? 3);

const FAULTS = [
  ["write", "ENOSPC"],
  ["openat", "EMFILE"],
  ["link", "ENOSPC"],
  ["rename", "EROFS"],
  ["unlink", "EBUSY"],
  ["mkdir", "EROFS"],
  ["fsync", "EIO"],
  ["flock", "EINTR"],
  ["setns", "EPERM"],
  ["socket", "EMFILE"],
  ["sendto", "ENOBUFS"],
  ["recvfrom", "EINTR"],
  ["vfork", "EAGAIN"],
] as const;

const UNWRAPPED = "umount /usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi";

const machines = new Map<string, Promise<Machine>>();
const machineOf = (network: string) => {
  const machine = machines.get(network) ?? Machine.create();
  machines.set(network, machine);
  return machine;
};
afterAll(async () => {
  for (const machine of machines.values()) await (await machine)[Symbol.asyncDispose]();
});

// A list that writes iptables, and one exec that writes nftables.
describe.each(["small", "one"])("network %s", (name) => {
  const key = { network: name, container: "c1", ifname: "eth0" };
  const count = networkOf(key).plugins.length;

  test.each(FAULTS)(
    "ADD with a %s that says %s fails with a code and leaves nothing, or does without",
    async (call, errno) => {
      const machine = await machineOf(name);
      await someCalls(count, { call, errno }, async (injection) => {
        const failure = await machine.add(key, PORT, injection).then(
          () => undefined,
          (error: Error) => error,
        );
        if (failure !== undefined) {
          expect(failure.message).toMatch(TELLING);
          // A runtime calls DEL for the whole list when a plugin of it failed.
          await machine.del(key, PORT);
        }
        const model = new Model();
        if (failure === undefined) model.add({ ...key, port: PORT, addresses: machine.addressesOf(key) });
        await compare(model, machine);
        if (failure === undefined) await machine.del(key, PORT);
        await machine.add(key, PORT);
        await machine.del(key, PORT);
        await compare(new Model(), machine);
      });
    },
    300_000,
  );

  test.each(FAULTS)(
    "DEL with a %s that says %s is made good by another DEL",
    async (call, errno) => {
      const machine = await machineOf(name);
      await someCalls(count, { call, errno }, async (injection) => {
        await machine.add(key, PORT);
        const failure = await machine.del(key, PORT, injection).then(
          () => undefined,
          (error: Error) => error,
        );
        if (failure !== undefined) {
          expect(failure.message).toMatch(TELLING);
          await machine.del(key, PORT);
        }
        await compare(new Model(), machine);
      });
    },
    300_000,
  );
});

describe("a host", () => {
  const [{ name }] = NETWORKS;
  const key = { network: name, container: "c1", ifname: "eth0" };

  test.each([
    ["whose /var/lib/cni is read-only", "mount -t tmpfs -o ro tmpfs /var/lib/cni", "umount /var/lib/cni"],
    ["whose /var/lib/cni is full", `${full("/var/lib/cni")}`, "umount /var/lib/cni"],
    [
      "whose /run/tsnet is read-only",
      "mkdir -p /run/tsnet; mount -t tmpfs -o ro tmpfs /run/tsnet",
      "umount /run/tsnet",
    ],
    ["whose /run/tsnet is full", `mkdir -p /run/tsnet; ${full("/run/tsnet")}`, "umount /run/tsnet"],
    ["whose iptables fails", wrapped("exit 3"), UNWRAPPED],
    ["whose iptables is killed", wrapped("kill -9 $$"), UNWRAPPED],
    ["without forwarding that can be turned on", "mount --bind -o ro /proc/sys /proc/sys", "umount /proc/sys"],
  ])("%s has an ADD that says so and leaves nothing, and one that works when it is mended", async (_, damage, mend) => {
    await using machine = await Machine.create();
    await machine.add(key, PORT);
    await machine.del(key, PORT);
    await machine.host.sh("sysctl -qw net.ipv4.ip_forward=0");
    const before = await machine.snapshot();
    await machine.host.sh(damage);
    const failure = await machine.add(key, PORT).catch((error: Error) => error);
    expect(failure, "it was to fail").toBeInstanceOf(Error);
    expect(String(failure)).toMatch(/"code": \d+,\s+"msg": "[^"]{8,}/);
    await machine.host.sh(mend);
    expect(await machine.snapshot()).toBe(before);
    await machine.add(key, PORT);
    await machine.del(key, PORT);
    await compare(new Model(), machine);
  });

  test("whose namespaces vanish in the middle of ADD and DEL is as before after a DEL of each", async () => {
    await using machine = await Machine.create();
    await machine.add(key, PORT);
    await machine.del(key, PORT);
    const before = await machine.snapshot();
    for (let delay = 0; delay < 60; delay += 6) {
      const added = machine.add(key, PORT).catch((error: Error) => error.message);
      await Bun.sleep(delay);
      await machine.restart(key.container);
      const said = await added;
      if (typeof said === "string") expect(said).toMatch(TELLING);
      await machine.del(key, PORT);
      await compare(new Model(), machine);
    }
    expect(await machine.snapshot()).toBe(before);
  });
});

/** A file system of one page with a file that takes all of it. */
function full(folder: string): string {
  return `mount -t tmpfs -o size=4k tmpfs ${folder}; dd if=/dev/zero of=${folder}/.full bs=4k count=1 2>/dev/null`;
}

/** All of iptables' programs become one of this shell line. */
function wrapped(line: string): string {
  return `printf '#!/bin/sh\\n%s\\n' '${line}' > /run/no-iptables; chmod +x /run/no-iptables
    for tool in /usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi; do mount --bind /run/no-iptables $tool; done`;
}

/**
 * A CNI error that says something; or the last word of a process that was stopped before any line of ours ran, or that
 * cannot leave the container's namespace and must not go on there.
 */
const TELLING = /"code": \d+,\s+"msg": "[^"]{8,}|error while loading shared libraries|bun|Bun|cannot return from/;

/** Some of the calls of each plugin in turn. `attempt` is first asked to count them. */
async function someCalls(
  plugins: number,
  { call, errno }: { readonly call: string; readonly errno: string },
  attempt: (injection: Injection) => Promise<void>,
): Promise<void> {
  // What iptables asks the kernel for by a socket it takes for granted: then it writes another address than it was told.
  const alone = call === "socket";
  for (let plugin = 0; plugin < plugins; plugin++) {
    const counted: Injection & { calls: number } = { plugin, call, alone, calls: 0 };
    await attempt(counted);
    const step = Math.max(1, counted.calls / MOST);
    for (let nth = 1; Math.floor(nth) <= counted.calls; nth += step) {
      await attempt({ plugin, call, alone, calls: 0, inject: { effect: `error=${errno}`, nth: Math.floor(nth) } });
    }
  }
}
