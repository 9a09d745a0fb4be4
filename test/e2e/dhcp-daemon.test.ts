/** The daemon and its socket: none, another's, one of the service manager's, one below a prefix. */

import { FFIType } from "bun:ffi";
import { rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openLibc } from "../../lib/sys/libc.ts";
import { closeFd } from "../../lib/sys/native.ts";
import { referencePrograms } from "../cluster/build.ts";
import { DhcpWorld, lanConf, SOCKET } from "./dhcp-world.ts";
import { PLUGINS } from "./host.ts";
import { eventually } from "./standalone.ts";

const DAEMON = [`${PLUGINS}/dhcp`, "daemon"];

describe.concurrent("without a daemon", () => {
  it(
    "ADD and STATUS say what to start, STATUS with code 50; DEL and GC have nothing to do",
    DhcpWorld.in(async (world) => {
      await world.host.addNetns("c1");
      const msg = expect.stringMatching(/^no DHCP daemon at \/run\/cni\/tsnet-dhcp\.sock: start it, by .*dhcp daemon/);
      expect((await world.call("ADD", "c1")).json).toMatchObject({ code: 104, msg });
      expect((await world.call("STATUS", "")).json).toMatchObject({ code: 50, msg });
      expect(await world.call("DEL", "c1")).toMatchObject({ exitCode: 0, stdout: "" });
      const gc = await world.call("GC", "", lanConf({}, { "cni.dev/valid-attachments": [] }));
      expect(gc).toMatchObject({ exitCode: 0, stdout: "" });
    }),
  );

  it(
    "DEL and GC fail where there is a lease to give back, and succeed when there is a daemon again",
    DhcpWorld.in(async (world) => {
      const server = await world.dnsmasq();
      const daemon = await world.daemon();
      expect(await world.call("STATUS", "")).toMatchObject({ exitCode: 0, stdout: "" });
      await world.attach("c1");
      await daemon.end();
      expect(await daemon.log()).toContain(
        "INFO ending: leases stay, for the next daemon to go on with signal=SIGTERM",
      );
      expect((await world.host.run(["test", "-e", SOCKET])).exitCode).toBe(1);
      const del = () => world.host.cni("DEL", "dhcp", lanConf(), { id: "c1", netns: "/run/netns/c1" });
      expect((await del()).json).toMatchObject({ msg: expect.stringContaining("no DHCP daemon at") });
      const gc = await world.host.cni("GC", "dhcp", lanConf({}, { "cni.dev/valid-attachments": [] }));
      expect(gc.json).toMatchObject({ msg: expect.stringContaining("no DHCP daemon at") });
      await world.daemon();
      expect(await del()).toMatchObject({ exitCode: 0 });
      await server.saying("DHCPRELEASE(lan1)");
    }),
  );
});

describe.concurrent("at the socket of somebody else", () => {
  it(
    "the reference's daemon is named, and what to do",
    DhcpWorld.in(async (world) => {
      const { directory } = await referencePrograms();
      const socket = "/run/cni/dhcp.sock";
      await world.start([`${directory}/dhcp`, "daemon"]);
      await eventually(async () => (await world.host.run(["test", "-S", socket])).exitCode === 0, "it listens");
      await world.host.addNetns("c1");
      const conf = lanConf({ daemonSocketPath: socket });
      const msg = expect.stringMatching(
        /^at \/run\/cni\/dhcp\.sock listens the DHCP daemon of containernetworking's plugins .*leave ipam\.daemonSocketPath out/,
      );
      expect((await world.call("ADD", "c1", conf)).json).toMatchObject({ code: 101, msg });
      // Nothing of ours is there to be given back.
      const del = await world.call("DEL", "c1", conf);
      expect(del).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("listens the DHCP daemon of") });
      expect((await world.call("STATUS", "", conf)).json).toMatchObject({ code: 50, msg });
      // Nor does our daemon take its place.
      const ours = await world.start([...DAEMON, "-socketpath", socket]);
      await ours.saying(`dhcp daemon: at ${socket} listens the DHCP daemon of containernetworking's plugins`);
      expect((await world.host.run(["test", "-S", socket])).exitCode).toBe(0);
    }),
  );

  it(
    "somebody who is no DHCP daemon is told apart from none",
    DhcpWorld.in(async (world) => {
      await world.host.addNetns("c1");
      const bun = [process.execPath, "-e", `Bun.serve({ unix: "${SOCKET}", fetch: () => new Response("hello") })`];
      await world.host.ok(["mkdir", "-p", "/run/cni"]);
      await world.start(["env", "BUN_BE_BUN=1", ...bun]);
      await eventually(async () => (await world.host.run(["test", "-S", SOCKET])).exitCode === 0, "it listens");
      const msg = expect.stringContaining(`at ${SOCKET} listens a server that is no DHCP daemon`);
      expect((await world.call("ADD", "c1")).json).toMatchObject({ code: 101, msg });
    }),
  );
});

describe.concurrent("the daemon", () => {
  it(
    "is alone at its socket, takes over from one that was killed, and writes its pid",
    DhcpWorld.in(async (world) => {
      const first = await world.daemon("-pidfile", "/run/dhcp.pid");
      const pid = (await world.host.ok(["cat", "/run/dhcp.pid"])).trim();
      expect(await world.host.ok(["cat", `/proc/${pid}/cmdline`])).toContain("daemon\0-pidfile");
      expect((await world.host.ok(["stat", "-c", "%a", SOCKET])).trim()).toBe("600");
      const second = await world.start(DAEMON);
      await second.saying(`dhcp daemon: another DHCP daemon of tsnet serves ${SOCKET}`);
      await first.end("KILL");
      const third = await world.daemon("-pidfile", "/run/dhcp.pid");
      expect(await world.leases()).toEqual({});
      await third.end("INT");
      for (const path of ["/run/dhcp.pid", SOCKET])
        expect((await world.host.run(["test", "-e", path])).exitCode).toBe(1);
    }),
  );

  it(
    "serves another socket beside the first, with leases of its own",
    DhcpWorld.in(async (world) => {
      await world.dnsmasq();
      await world.daemon();
      await world.daemon("-socketpath", "/run/other/dhcp.sock");
      await world.attach("c1");
      const conf = lanConf({ daemonSocketPath: "/run/other/dhcp.sock" });
      const result = await world.attach("c2", conf);
      expect(Object.keys(await world.leases())).toEqual(["c1"]);
      expect(await world.call("CHECK", "c2", { ...conf, prevResult: result })).toMatchObject({ exitCode: 0 });
      expect(await world.call("CHECK", "c2", lanConf({}, { prevResult: result }))).toMatchObject({ exitCode: 1 });
      expect(await world.call("DEL", "c2", conf)).toMatchObject({ exitCode: 0 });
    }),
  );

  it(
    "finds socket, leases and namespaces below -hostprefix",
    DhcpWorld.in(async (world) => {
      const server = await world.dnsmasq("--dhcp-broadcast");
      const daemon = await world.daemon("-hostprefix", "/proc/1/root/", "-broadcast");
      expect(await daemon.log()).toContain(`listening socket=/proc/1/root${SOCKET}`);
      const { ips } = await world.attach("c1");
      expect(await world.records()).toBe(1);
      expect(await world.call("DEL", "c1")).toMatchObject({ exitCode: 0 });
      await server.saying(`DHCPRELEASE(lan1) ${ips[0]?.address.split("/")[0]}`);
    }),
  );

  it(
    "takes the socket that the service manager opened, and leaves it",
    DhcpWorld.in(async (world) => {
      await world.dnsmasq();
      // On the machine's side of the host's mounts, as a descriptor that came from outside is.
      const path = `/tmp/tsnet-dhcp-${process.pid}.sock`;
      const fd = listening(path);
      try {
        const base = "/run/activated";
        // Asked before it runs, as socket activation has it.
        await world.host.addNetns("c1");
        const asked = world.call("ADD", "c1", lanConf({ daemonSocketPath: path }));
        const argv = [
          "sh",
          "-c",
          `echo $$ > ${base}.pid; LISTEN_PID=$$ LISTEN_FDS=1 exec ${DAEMON.join(" ")} 2> ${base}.log`,
        ];
        const daemon = Bun.spawn(world.host.enter(argv), { stdio: ["ignore", "ignore", "inherit", fd] });
        expect(await asked).toMatchObject({ exitCode: 0 });
        const again = Bun.spawn(
          world.host.enter(["sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 exec ${DAEMON.join(" ")} -socketpath /run/b.sock`]),
          {
            stdio: ["ignore", "ignore", "pipe", fd],
          },
        );
        expect(await again.exited).toBe(2);
        expect(await new Response(again.stderr).text()).toContain("Too many (2) FDs passed through socket activation");
        expect(await world.call("DEL", "c1", lanConf({ daemonSocketPath: path }))).toMatchObject({ exitCode: 0 });
        await world.host.sh(`kill $(cat ${base}.pid)`);
        await daemon.exited;
        expect((await world.host.run(["test", "-S", path])).exitCode).toBe(0);
      } finally {
        closeFd(fd);
        rmSync(path);
      }
    }),
  );
});

/** A unix socket that listens, as systemd would open it. */
function listening(path: string): number {
  const { socket, bind, listen } = openLibc({
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    listen: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  });
  const fd = socket(1, 1, 0);
  const address = Buffer.concat([Uint8Array.of(1, 0), Buffer.from(`${path}\0`)]);
  expect(bind(fd, address, address.length)).toBe(0);
  expect(listen(fd, 8)).toBe(0);
  return fd;
}
