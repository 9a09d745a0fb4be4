import { describe, expect, test } from "vitest";
import {
  environmentOf,
  execChain,
  isWaiting,
  PROGRAMS,
  type Programs,
  startChain,
} from "../../standalone/container/chain.ts";
import { hostsText, type Naming, resolverText } from "../../standalone/container/etc.ts";
import { mountsBelowRun } from "../../standalone/container/prepare.ts";
import { planMounts } from "../../standalone/container/root.ts";
import { findUser } from "../../standalone/container/user.ts";
import type { StartRecord } from "../../standalone/state/records.ts";

const START: StartRecord = {
  command: ["busybox", "httpd", "-f"],
  environment: {},
  hostname: "web",
  workdir: "/srv",
  mounts: [],
  privileged: false,
  shares: [],
};
const NAMING: Naming = {
  hostname: "web",
  addresses: [],
  gateway: undefined,
  network: "bridge",
  extraHosts: {},
  dns: [],
  dnsSearch: undefined,
};
const ROOT = { uid: 0, gid: 0, groups: [], home: "/root" };
const WAIT = ': <"$0"; exec 2>&3 3>&-; unset PWD OLDPWD SHLVL _; exec "$@"';
const programs = Object.fromEntries(PROGRAMS.map((name) => [name, `/bin/${name}`])) as Programs;

describe("the chain of programs that becomes a command", () => {
  const chain = (start: Partial<StartRecord> = {}, more = {}) =>
    startChain({
      start: { ...START, ...start },
      netns: "/run/netns/p.web",
      gate: "/g",
      proc: "/c/proc",
      complaints: "/c",
      user: ROOT,
      programs,
      hostRoot: "/proc/7/fd/9",
      ...more,
    }).join(" ");
  const LIMITS =
    "--bounding-set -all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write --inh-caps=-all --ambient-caps=-all --no-new-privs";

  test("makes namespaces, waits at the gate, drops rights, changes root", () => {
    expect(chain()).toBe(
      '/bin/sh -c exec 3>&2 2>>"$0"; exec "$@" /c ' +
        "/bin/nsenter --net=/run/netns/p.web -- " +
        "/bin/unshare --mount --uts --ipc --pid --fork --propagation=slave --mount-proc=c/proc --root=/proc/7/fd/9 --wd=. -- " +
        '/bin/sh -c : <"$0"; exec 2>&3 3>&-; unset PWD OLDPWD SHLVL _; exec "$@" /g ' +
        `/bin/setpriv ${LIMITS} -- ` +
        "/bin/unshare --root=. --wd=/srv --setgid=0 -- busybox httpd -f",
    );
  });

  test("joins its control group before it waits, and goes on where it may not", () => {
    expect(chain({}, { cgroup: "/cg/run" })).toContain(
      '/bin/sh -c { echo 0 >"$1/cgroup.procs"; } 2>/dev/null; shift; : <"$0"; exec 2>&3 3>&-; ' +
        'unset PWD OLDPWD SHLVL _; exec "$@" /g /cg/run /bin/setpriv ',
    );
  });

  test("shares what it is told to, and keeps the rights of a privileged one", () => {
    expect(chain({ shares: ["pid", "mount", "ipc", "uts"], privileged: true }, { netns: "" })).toBe(
      '/bin/sh -c exec 3>&2 2>>"$0"; exec "$@" /c ' +
        '/bin/sh -c : <"$0"; exec 2>&3 3>&-; unset PWD OLDPWD SHLVL _; exec "$@" /g ' +
        "/bin/unshare --root=. --wd=/srv --setgid=0 -- busybox httpd -f",
    );
  });

  test("mounts a /proc of its own where both pids and mounts are", () => {
    expect(chain({ shares: ["pid"] })).toContain(
      " --mount --uts --ipc --propagation=slave --root=/proc/7/fd/9 --wd=. -- ",
    );
    expect(chain({ shares: ["mount"] })).toContain(" --uts --ipc --pid --fork -- /bin/sh ");
  });

  test("is known to wait by the program that does", () => {
    const at = { programs, gate: "/g" };
    expect(isWaiting(["/bin/sh", "-c", WAIT, "/g", "/bin/setpriv"], at)).toBe(true);
    expect(isWaiting(["/bin/sh", "-c", WAIT, "/other", "/bin/setpriv"], at)).toBe(false);
    expect(isWaiting(["/bin/unshare", "--", "/bin/sh", "-c", WAIT, "/g"], at)).toBe(false);
    expect(isWaiting([], at)).toBe(false);
  });

  test("becomes another user last, since that takes rights that the steps before need", () => {
    const user = { uid: 33, gid: 34, groups: [35, 36], home: "/var/www" };
    expect(chain({}, { user })).toMatch(
      /--regid 34 --groups 35,36 -- \/bin\/unshare --root=\. --wd=\/srv --setuid=33 -- busybox httpd -f$/,
    );
    expect(chain({}, { user: { ...user, groups: [] } })).toMatch(
      /--no-new-privs -- \/bin\/unshare --root=\. --wd=\/srv --setgid=34 --setuid=33 -- busybox httpd -f$/,
    );
  });

  test("of exec enters all namespaces of the container and takes the same rights away", () => {
    const exec = { start: START, user: ROOT, programs, pid: 12, workdir: "/", command: ["sh"], terminal: false };
    const entering = "/bin/nsenter --target 12 --mount --uts --ipc --net --pid --root=/ --wd=/proc/12/root --";
    const rest = `/bin/setpriv ${LIMITS} -- /bin/unshare --root=. --wd=/ --setgid=0 -- sh`;
    expect(execChain(exec).join(" ")).toBe(`${entering} ${rest}`);
    expect(execChain({ ...exec, terminal: true }).join(" ")).toBe(`${entering} /bin/setsid --ctty ${rest}`);
  });

  test("containers row 15: has the file's environment beside four variables of its own", () => {
    expect(environmentOf({ ...START, environment: { A: "1", TERM: "dumb" } }, ROOT)).toEqual({
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
      HOSTNAME: "web",
      TERM: "dumb",
      A: "1",
    });
  });
});

describe("a container's mounts", () => {
  const table = (
    start: Partial<StartRecord>,
    mounts: readonly { source: string; target: string; readOnly: boolean; isFile: boolean }[] = [],
    silenced: readonly string[] = [],
  ) =>
    planMounts({
      root: "/c/root",
      folder: "/c",
      start: { ...START, ...start },
      files: [{ source: "/c/etc/hosts", target: "/etc/hosts" }],
      mounts,
      guarded: ["/proc/sys"],
      silenced,
    })
      .map(({ source, target, type, flags, data }) => [type, source, target, ...flags, data ?? ""].join(" ").trim())
      .join("\n");

  test("containers row 22: where the host's /run is seen, hide what would answer past resolv.conf", () => {
    expect(table({ privileged: true }, [], ["/run/nscd/socket"])).toContain(
      "bind /dev/null /run/nscd/socket\nbind /c/etc/hosts /etc/hosts",
    );
  });

  test("containers row 14: on the host's root hide /run and make /proc/sys and /sys read-only", () => {
    expect(table({})).toBe(`rbind / /
move /c/proc /proc
bind /c/root/proc/sys /proc/sys ro nosuid nodev noexec
tmpfs tsnet /sys ro size=4k
sysfs tsnet /sys ro nosuid nodev noexec
tmpfs tsnet /dev/shm nosuid nodev mode=1777,size=64m
bind /c/run /run nosuid nodev
bind /c/etc/hosts /etc/hosts`);
  });

  test("of a privileged one do neither", () => {
    expect(table({ privileged: true, shares: ["ipc"] })).toBe(`rbind / /
move /c/proc /proc
tmpfs tsnet /sys ro size=4k
sysfs tsnet /sys nosuid nodev noexec
bind /c/etc/hosts /etc/hosts`);
  });

  test("with the host's pids bring a new /proc of those", () => {
    expect(table({ privileged: true, shares: ["pid"] })).toContain("\nproc tsnet /proc nosuid nodev noexec\n");
  });

  test("containers row 15: on a root of its own bring a /dev", () => {
    const mounts = [
      { source: "/my data", target: "/data", readOnly: true, isFile: false },
      { source: "/dev/net/tun", target: "/dev/net/tun", readOnly: false, isFile: true },
    ];
    expect(table({ rootfs: "/roots/a b" }, mounts)).toBe(`rbind /roots/a b / nodev
move /c/proc /proc
bind /c/root/proc/sys /proc/sys ro nosuid nodev noexec
sysfs tsnet /sys ro nosuid nodev noexec
bind /c/dev /dev nosuid
bind /dev/null /dev/null
bind /dev/zero /dev/zero
bind /dev/full /dev/full
bind /dev/random /dev/random
bind /dev/urandom /dev/urandom
bind /dev/tty /dev/tty
devpts tsnet /dev/pts nosuid noexec newinstance,ptmxmode=0666,mode=0620,gid=5
tmpfs tsnet /dev/shm nosuid nodev mode=1777,size=64m
bind /c/run /run nosuid nodev
bind /c/etc/hosts /etc/hosts
rbind /my data /data ro nodev
rbind /dev/net/tun /dev/net/tun`);
  });

  test("leave out what is mounted below the host's /run, where other namespaces are", () => {
    const mounts = ["/", "/run", "/run/netns", "/run/netns/a", "/run/netns", "/run/user/0", "/run/tsnet", "/running"]
      .map((point) => `x ${point} tmpfs rw 0 0`)
      .join("\n");
    expect(mountsBelowRun(mounts, "/run/tsnet/containers/web")).toEqual(["/run/netns", "/run/user/0"]);
  });
});

describe("a container's files of /etc", () => {
  test("lead from its name to itself", () => {
    expect(
      hostsText({ ...NAMING, hostname: "web.example.org", addresses: ["10.1.0.2", "fd00::2"], gateway: "10.1.0.1" }),
    ).toBe(
      "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n10.1.0.2 web.example.org web\nfd00::2 web.example.org web\n10.1.0.1 host.tsnet.internal\n",
    );
    expect(hostsText({ ...NAMING, hostname: "alone" })).toBe(
      "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 alone\n",
    );
  });

  test("containers row 22: name more hosts, and the host itself by a name of one's choice", () => {
    const naming = { ...NAMING, addresses: ["10.1.0.2"], extraHosts: { nas: "192.168.1.9", gate: "host-gateway" } };
    expect(hostsText({ ...naming, gateway: "10.1.0.1" })).toContain("\n192.168.1.9 nas\n10.1.0.1 gate\n");
    expect(hostsText({ ...naming, network: "host" })).toContain("\n192.168.1.9 nas\n127.0.0.1 gate\n");
    expect(hostsText({ ...naming, network: "none" })).not.toContain("gate");
  });

  test("containers row 22: name our resolver where there are networks, and look for names as they are first", () => {
    const host = { conf: "nameserver 10.0.0.1\nsearch lan corp\noptions edns0\n", upstream: "" };
    expect(resolverText(NAMING, host)).toBe("nameserver 127.0.0.11\nsearch lan corp\noptions ndots:0\n");
    expect(resolverText({ ...NAMING, dns: ["10.0.0.9"], dnsSearch: ["example.com"] }, host)).toBe(
      "nameserver 127.0.0.11\nsearch example.com\noptions ndots:0\n",
    );
    expect(resolverText({ ...NAMING, dnsSearch: [] }, host)).toBe("nameserver 127.0.0.11\noptions ndots:0\n");
  });

  test("leave the host's resolvers where there are none of ours, unless others are wished", () => {
    const host = { conf: "nameserver 10.0.0.1\nsearch lan\noptions edns0\n", upstream: "" };
    const hosted = { ...NAMING, network: "host" } as const;
    expect(resolverText(hosted, host)).toBeUndefined();
    expect(resolverText({ ...hosted, dns: ["10.0.0.9"] }, host)).toBe(
      "nameserver 10.0.0.9\nsearch lan\noptions edns0\n",
    );
    expect(resolverText({ ...hosted, dnsSearch: [] }, host)).toBe("nameserver 10.0.0.1\noptions edns0\n");
  });

  test("name resolvers that it can reach", () => {
    const alone = (conf: string, upstream: string) => resolverText({ ...NAMING, network: "none" }, { conf, upstream });
    expect(alone("# c\nnameserver 10.0.0.1\nnameserver 127.0.0.1\noptions edns0\n", "nameserver 9.9.9.9\n")).toBe(
      "nameserver 10.0.0.1\noptions edns0\n",
    );
    expect(alone("nameserver 127.0.0.53\nsearch lan\n", "nameserver 10.0.0.2\nsearch other\n")).toBe(
      "search lan\nnameserver 10.0.0.2\n",
    );
    expect(alone("nameserver ::1\n", "")).toBe("\n");
  });
});

describe("a container's user", () => {
  const accounts = {
    passwd: "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/bin/false\n",
    group: "root:x:0:\nwww:x:34:\nlogs:x:40:root,www\nshared:x:41:www\n",
  };

  test.each([
    [undefined, { uid: 0, gid: 0, groups: [40], home: "/root" }],
    ["www", { uid: 33, gid: 34, groups: [40, 41], home: "/var/www" }],
    ["33", { uid: 33, gid: 34, groups: [40, 41], home: "/var/www" }],
    ["www:logs", { uid: 33, gid: 40, groups: [], home: "/var/www" }],
    ["1000", { uid: 1000, gid: 0, groups: [], home: "/" }],
    ["1000:1001", { uid: 1000, gid: 1001, groups: [], home: "/" }],
  ])("%s is found by name or number", (wanted, user) => {
    expect(findUser(wanted, accounts)).toEqual(user);
  });

  test("is root where there are no accounts", () => {
    expect(findUser(undefined, { passwd: "", group: "" })).toEqual({ uid: 0, gid: 0, groups: [], home: "/root" });
  });

  test("that is not there is an error", () => {
    expect(() => findUser("nobody", accounts)).toThrow("no user nobody in the container's /etc/passwd");
    expect(() => findUser("www:none", accounts)).toThrow("no group none in the container's /etc/group");
  });
});
