/** What a standalone container is from inside, how it lives and how it ends. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Host, TSNET } from "./host.ts";
import { eventually, inside, inTerminal, makeRootfs, Project, tryInside } from "./standalone.ts";
import { HOST, world } from "./world.ts";

const sleeper = (name: string, more = "") => `  ${name}: { command: [sleep, infinity]${more} }\n`;

describe("a container on the host's root", () => {
  let host: Host;

  beforeAll(async () => {
    host = await world();
    // What the caller has must not be what the container gets.
    const project = await Project.create(
      host,
      "in",
      `containers:\n${sleeper("plain", ", environment: { GREETING: hello }, workdir: /usr, hostname: plain.example")}${sleeper("other")}${sleeper("strong", ", privileged: true")}${sleeper("daemon", ", user: daemon")}${sleeper("shared", ", pid: host, ipc: host, uts: host")}${sleeper("open", ", privileged: true, pid: host, mount: host")}`,
    );
    await host.ok(["env", "SECRET=1", "ip", "netns", "add", "elsewhere"]);
    await host.ok(["env", "SECRET=1", TSNET, "up", "-f", `${project.folder}/tsnet.yaml`]);
  });
  afterAll(() => host.destroy());

  test("containers row 12: no process of ours stays in its network namespace but the chain that became its command", async () => {
    const pids = (await host.ok(["ip", "netns", "pids", "in.plain"])).trim().split("\n");
    const names = await Promise.all(pids.map((pid) => host.ok(["cat", `/proc/${pid}/comm`])));
    expect(names.map((name) => name.trim()).toSorted()).toEqual(["sleep", "unshare"]);
    const threads = await host.sh(`for pid in ${pids.join(" ")}; do ls /proc/$pid/task; done | wc -l`);
    expect(threads).toBe("2\n");
  });

  test("containers row 13: it starts with no signal ignored or blocked", async () => {
    expect(await inside(host, "plain", "grep", "-E", "^Sig(Blk|Ign)", "/proc/1/status")).toBe(
      "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
    );
    expect(await inside(host, "plain", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")).toBe(
      "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
    );
  });

  describe("containers row 14:", () => {
    test("has Docker's capabilities and gets no new ones", async () => {
      for (const process of ["1", "self"]) {
        const status = await inside(host, "plain", "grep", "-E", "^(Cap|NoNewPrivs)", `/proc/${process}/status`);
        expect(status).toBe(
          "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n",
        );
      }
    });

    test.each([
      ["enters no other network namespace", "nsenter --net=/run/netns/elsewhere true"],
      ["enters none by another process", "nsenter --net=/proc/1/ns/net true"],
      ["changes no address", "ip addr add 10.9.9.9/32 dev eth0"],
      ["writes no sysctl", "echo '|/bin/x' > /proc/sys/kernel/core_pattern"],
      ["writes no sysctl of its own network", "echo 1 > /proc/sys/net/ipv4/ip_forward"],
      ["writes nothing in /sys", "echo 1 > /sys/class/net/eth0/mtu"],
      ["reboots nothing", "echo b > /proc/sysrq-trigger"],
      ["mounts nothing", "mount -t tmpfs none /mnt"],
      ["takes no mount away", "umount /proc/sys"],
      ["leaves no root", "mkdir /tmp/out.$$; cd /tmp/out.$$; unshare --mount true"],
    ])("%s", async (_, script) => {
      const { exitCode } = await tryInside(host, "plain", "sh", "-ec", script);
      expect(exitCode).not.toBe(0);
    });

    test("sees an empty /run, and nothing of the host's is in its way", async () => {
      expect(await inside(host, "other", "ls", "-A", "/run")).toBe("");
      await inside(host, "plain", "sh", "-ec", "echo 1 > /run/x; rm /run/x");
      expect(await inside(host, "plain", "sh", "-c", "grep ' nsfs ' /proc/self/mounts || true")).toBe("");
    });

    test("keeps no network namespace of others alive: what it never sees it does not hold", async () => {
      await host.sh(`
        ip netns add fleeting; ip link add fleet0 type veth peer name fleet1 netns fleeting
      `);
      const project = await Project.create(host, "late", `containers:\n${sleeper("latecomer")}`);
      await project.raise();
      await host.ok(["ip", "netns", "del", "fleeting"]);
      await eventually(
        async () => !(await host.sh("ip -o link")).includes("fleet0"),
        "the veth of a deleted namespace is gone",
      );
      await project.down();
    });

    test("privileged lifts it", async () => {
      await inside(host, "strong", "nsenter", "--net=/run/netns/elsewhere", "true");
      await inside(host, "strong", "ip", "addr", "add", "10.9.9.9/32", "dev", "eth0");
      await inside(
        host,
        "strong",
        "sh",
        "-ec",
        "mount -t tmpfs none /mnt; umount /mnt; cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern",
      );
    });
  });

  describe("containers row 15:", () => {
    test("sees its own links in /sys, its own processes in /proc", async () => {
      expect(await inside(host, "plain", "ls", "/sys/class/net")).toBe("eth0\nlo\n");
      expect(await inside(host, "plain", "cat", "/proc/1/cmdline")).toBe("sleep\0infinity\0");
    });

    test("has PATH, HOME, TERM, HOSTNAME and what the file says for environment, and nothing of the caller's", async () => {
      const environment =
        "GREETING=hello\nHOME=/root\nHOSTNAME=plain.example\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTERM=xterm\n";
      expect(await inside(host, "plain", "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ | sort")).toBe(environment);
      expect(
        await inside(host, "plain", "sh", "-c", "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort"),
      ).toBe(environment);
    });

    test("has no descriptor of the host's folders", async () => {
      const open = await host.sh("readlink /proc/$(pgrep -x -f 'sleep infinity' | head -1)/fd/*");
      expect(open.trim().split("\n")).toEqual([
        "/dev/null",
        // Pipes, by which one gets nowhere.
        expect.stringMatching(/^\/run\/tsnet\/containers\/\w+\/output$/),
        expect.stringMatching(/^\/run\/tsnet\/containers\/\w+\/output$/),
      ]);
    });
  });

  test("has the usual limits and umask, whatever the caller's are", async () => {
    const project = await Project.create(host, "tight", `containers:\n${sleeper("tidy", ", user: daemon")}`);
    await host.sh(`umask 077; ulimit -Sn 256; ${TSNET} up -f ${project.folder}/tsnet.yaml`);
    expect(
      await host.sh(`umask 077; ${TSNET} exec tidy sh -c 'umask; ulimit -Sn; cat /etc/hostname; stat -c %a /run'`),
    ).toBe("0022\n1024\ntidy\n755\n");
    await project.down();
  });

  test("starts in its working folder, under its own name, which leads to itself", async () => {
    expect(await inside(host, "plain", "pwd")).toBe("/usr\n");
    expect(await inside(host, "plain", "readlink", "/proc/1/cwd")).toBe("/usr\n");
    expect(await inside(host, "plain", "hostname")).toBe("plain.example\n");
    expect(await inside(host, "plain", "cat", "/etc/hostname")).toBe("plain.example\n");
    const address = (await inside(host, "plain", "hostname", "-i")).trim();
    expect(await inside(host, "plain", "ip", "-4", "-br", "addr", "show", "eth0")).toContain(`${address}/16`);
    expect(await host.ok(["cat", "/etc/hostname"])).not.toContain("plain");
  });

  test("has a resolv.conf of its own, with our resolver and the host's search domains", async () => {
    await host.ok(["tee", "/etc/resolv.conf"], {
      stdin: "nameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch example.org\n",
    });
    const project = await Project.create(host, "dns", `containers:\n${sleeper("asker")}`);
    await project.raise();
    expect(await inside(host, "asker", "cat", "/etc/resolv.conf")).toBe(
      "nameserver 127.0.0.11\nsearch example.org\noptions ndots:0\n",
    );
    await project.down();
  });

  test("has a resolv.conf of its own where the host's is a link into /run, as systemd-resolved makes it", async () => {
    await host.sh(`
      mkdir -p /run/systemd/resolve; echo nameserver 127.0.0.53 > /run/systemd/resolve/stub-resolv.conf
      echo nameserver 192.0.2.54 > /run/systemd/resolve/resolv.conf
      rm -f /etc/resolv.conf; ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
    `);
    const project = await Project.create(host, "dns", `containers:\n${sleeper("asker")}`);
    await project.raise();
    expect(await inside(host, "asker", "cat", "/etc/resolv.conf")).toBe("nameserver 127.0.0.11\noptions ndots:0\n");
    await project.down();
  });

  test("runs as the user that it names, without capabilities", async () => {
    expect(await inside(host, "daemon", "id")).toBe("uid=1(daemon) gid=1(daemon) groups=1(daemon)\n");
    expect(await inside(host, "daemon", "grep", "-E", "^(Uid|Gid|CapEff|Groups)", "/proc/1/status")).toBe(
      "Uid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nGroups:\t \nCapEff:\t0000000000000000\n",
    );
    // Ports below 1024 are its own network's business.
    const bind = await tryInside(host, "daemon", "timeout", "1", "busybox", "nc", "-l", "-p", "80");
    expect(bind.exitCode).toBe(124);
  });

  test("containers row 14: on the network of another has the rights on /sys that are its own", async () => {
    const side = "command: [sleep, infinity], network: 'container:first'";
    const project = await Project.create(
      host,
      "sys",
      `containers:\n${sleeper("first")}  weak: { ${side} }\n  mighty: { ${side}, privileged: true }\n`,
    );
    await project.raise();
    const write = (container: string) =>
      tryInside(host, container, "sh", "-c", "echo named > /sys/class/net/eth0/ifalias");
    expect((await write("weak")).stderr).toContain("Read-only file system");
    expect((await write("mighty")).stderr).toBe("");
    await project.down();
  });

  test("shares the namespaces that it asks for, and no other", async () => {
    const same = async (container: string) => {
      const kinds = ["pid", "ipc", "uts", "mnt", "net"];
      const [theirs, ours] = await Promise.all([
        inside(host, container, "sh", "-c", `for k in ${kinds.join(" ")}; do readlink /proc/self/ns/$k; done`),
        host.sh(`for k in ${kinds.join(" ")}; do readlink /proc/self/ns/$k; done`),
      ]);
      const mine = ours.split("\n");
      return kinds.filter((_, at) => theirs.split("\n")[at] === mine[at]);
    };
    expect(await same("plain")).toEqual([]);
    expect(await same("shared")).toEqual(["pid", "ipc", "uts"]);
    expect(await same("open")).toEqual(["pid", "mnt"]);
  });
});

describe("a container on a root of its own", () => {
  let host: Host;
  let project: Project;
  let before: string;

  beforeAll(async () => {
    host = await world();
    await makeRootfs(host, "/opt/root");
    // A root from elsewhere may hold links that lead out.
    await host.sh(
      "mkdir -p /opt/root/etc /opt/data; echo data > /opt/data/file; ln -s /etc/passwd /opt/root/etc/hosts; ln -s /opt/data /opt/root/way",
    );
    before = await host.sh("find /opt/root | sort; cat /etc/passwd");
    project = await Project.create(
      host,
      "rooted",
      `containers:
  box:
    rootfs: /opt/root
    command: [sleep, infinity]
    mounts: ["/opt/data:/data:ro", "../../data/file:/way/file", "/opt/data:/dev/extra"]
  weak: { rootfs: /opt/root, command: [/bin/sleep, infinity], user: "1000:1000", workdir: /bin }
`,
    );
    await project.raise();
  });
  afterAll(() => host.destroy());

  test("sees nothing of the host's", async () => {
    expect(await inside(host, "box", "ls", "/")).toBe("bin\ndata\ndev\netc\nopt\nproc\nrun\nsys\nway\n");
    expect(await inside(host, "box", "sh", "-c", "ls -A /run; cd /..; ls -d home usr 2>&1 | head -1")).toContain(
      "No such file",
    );
    const mounts = await inside(host, "box", "cat", "/proc/self/mountinfo");
    expect(mounts.split("\n").filter((line) => line.includes(" /run/.old") || line.includes("/netns"))).toEqual([]);
  });

  test("does not get out by chroot, which its capabilities allow", async () => {
    const out = await tryInside(
      host,
      "box",
      "sh",
      "-c",
      "mkdir -p /bin/x; busybox chroot /bin/x true 2>/dev/null; cd /; for i in 1 2 3 4 5; do cd ..; done; ls",
    );
    expect(out.stdout).not.toContain("usr");
  });

  test("containers row 15: has a /dev with pts and shm, and devices that work", async () => {
    expect(await inside(host, "box", "ls", "/dev")).toBe(
      "extra\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n",
    );
    expect(
      await inside(
        host,
        "box",
        "sh",
        "-ec",
        "echo x > /dev/null; echo y > /dev/shm/y; busybox head -c 3 /dev/zero | busybox wc -c; ls /dev/pts",
      ),
    ).toBe("3\nptmx\n");
    expect(
      (await tryInside(host, "box", "sh", "-ec", "busybox mknod /bin/disk b 254 0; busybox head -c 1 /bin/disk"))
        .stderr,
    ).toContain("Permission denied");
    expect(await inside(host, "box", "ls", "/sys/class/net")).toBe("eth0\nlo\n");
  });

  test("has what is mounted at the places that the file says, followed within its root", async () => {
    expect(await inside(host, "box", "cat", "/data/file", "/opt/data/file", "/dev/extra/file")).toBe(
      "data\ndata\ndata\n",
    );
    expect((await tryInside(host, "box", "sh", "-c", "echo x > /data/file")).stderr).toContain("Read-only file system");
    // Its /etc/hosts is a link to its own /etc/passwd, not to the host's.
    expect(await inside(host, "box", "cat", "/etc/hosts")).toMatch(/^127\.0\.0\.1 localhost$/m);
  });

  test("needs no accounts for a user by number", async () => {
    expect(await inside(host, "weak", "id")).toBe("uid=1000 gid=1000\n");
    expect(await inside(host, "weak", "sh", "-c", "pwd; echo $HOME")).toBe("/bin\n/\n");
  });

  test("leaves its root as it was", async () => {
    await host.ok(["rm", "-rf", "/opt/root/bin/x", "/opt/root/bin/disk"]);
    await project.down();
    expect(await host.sh("find /opt/root | sort; cat /etc/passwd")).toBe(before);
  });
});

describe("a container's end", () => {
  let host: Host;
  let project: Project;

  beforeAll(async () => {
    host = await Host.create();
    project = await Project.create(host, "end", "containers: {}\n");
  });
  afterAll(() => host.destroy());

  const raise = async (yaml: string) => {
    await project.write(yaml);
    await project.raise();
  };
  const script = (text: string) => `command: [sh, -c, ${JSON.stringify(text)}]`;

  test("containers row 16: TERM, some time, KILL: one that listens may clean up, all at once", async () => {
    const polite = (name: string) =>
      `  ${name}: { mounts: ["/opt/out:/mnt"], ${script(`trap 'sleep 1; echo ${name} >> /mnt/said; exit' TERM; while :; do sleep 0.1; done`)} }\n`;
    await host.ok(["mkdir", "-p", "/opt/out"]);
    await raise(`containers:\n${polite("a")}${polite("b")}${polite("c")}`);
    const start = performance.now();
    await project.down();
    // One after the other they would need three seconds for their own part alone.
    expect(performance.now() - start).toBeLessThan(2800);
    expect((await host.ok(["cat", "/opt/out/said"])).trim().split("\n").toSorted()).toEqual(["a", "b", "c"]);
  });

  test("containers row 16: one that does not want to go is killed when its time is over", async () => {
    await raise(`containers:\n  stubborn: { ${script("trap : TERM; while :; do sleep 0.1; done")} }\n`);
    const start = performance.now();
    await project.down("-t", "1");
    expect(performance.now() - start).toBeGreaterThan(1000);
    expect(performance.now() - start).toBeLessThan(9000);
  });

  test("containers row 16: one without a handler is killed at once", async () => {
    await raise(`containers:\n${sleeper("deaf")}`);
    const start = performance.now();
    await project.down();
    expect(performance.now() - start).toBeLessThan(9000);
  });

  test.each(["", "pid: host, "])("containers row 16: every process goes, daemonised ones too (%s)", async (more) => {
    await raise(`containers:\n  parent: { ${more}${script("setsid -f setsid -f sleep 4711; sleep infinity")} }\n`);
    await eventually(async () => (await host.sh("pgrep -f '^sleep 4711' | wc -l")).trim() === "1", "the daemon runs");
    await project.down("-t", "0");
    expect(await host.sh("ps -o stat=,args= -A | grep '[s]leep 4711' | grep -v ^Z || true")).toBe("");
  });

  test("containers row 17: another process with its pid is not it, and a dead one that nobody waited for is gone", async () => {
    await raise(`containers:\n${sleeper("one")}${sleeper("two", ", pid: host")}`);
    const [one, two] = await project.ps();
    // A host whose init is slow to wait for what has died.
    process.kill(host.pid, "SIGSTOP");
    await host.sh(
      `sed -i 's/"startTime": [0-9]*/"startTime": 1/' /run/tsnet/containers/one/state.json; kill -9 ${two?.pid}`,
    );
    await eventually(
      async () => (await project.ps()).every(({ status }) => status === "exited (?)"),
      "both count as gone",
    );
    expect(await host.ok(["cat", `/proc/${two?.pid}/stat`])).toMatch(/^\d+ \(sleep\) Z /);
    process.kill(host.pid, "SIGCONT");
    // What has the pid is not killed for it.
    await host.sh(`kill -0 ${one?.pid}`);
    await host.sh(`kill -9 ${one?.pid}`);
    await project.down();
  });

  test("containers row 18: it outlives the terminal and the session that it was started from", async () => {
    await project.write(`containers:\n${sleeper("survivor")}`);
    await host.run([
      "script",
      "-qec",
      `${TSNET} up -f ${project.folder}/tsnet.yaml; kill -HUP 0; sleep 1`,
      "/dev/null",
    ]);
    const [survivor] = await project.ps();
    expect(survivor?.status).toBe("running");
    expect(await host.sh(`cut -d' ' -f6 /proc/${survivor?.pid}/stat`)).not.toBe(
      await host.sh("cut -d' ' -f6 /proc/self/stat"),
    );
    expect(await host.ok(["cat", `/proc/${survivor?.pid}/cgroup`])).toMatch(/^0::.*\/tsnet\/end\.survivor\.\d+\/run$/m);
    await project.down();
    expect(
      await host.sh("ls -d /sys/fs/cgroup/tsnet/end.* /sys/fs/cgroup/unified/tsnet/end.* 2>/dev/null || true"),
    ).toBe("");
  });

  test("containers row 20: its log is nobody else's and never takes more than 10 MB", async () => {
    await raise(
      `containers:\n  noisy: { ${script("echo first; yes noise | head -c 30000000; echo last >&2; sleep infinity")} }\n`,
    );
    await eventually(
      async () => (await host.ok([TSNET, "logs", "-n", "1", "noisy"])) === "last\n",
      "all has been written",
    );
    const sizes = (await host.sh("stat -c '%a %s' /run/tsnet/containers/noisy/log*"))
      .trim()
      .split("\n")
      .map((line) => line.split(" "));
    expect(sizes.map(([mode]) => mode)).toEqual(["600", "600"]);
    expect(sizes.reduce((sum, [, size]) => sum + Number(size), 0)).toBeLessThanOrEqual(10_000_000);
    expect((await host.ok([TSNET, "logs", "noisy"])).length).toBeGreaterThan(5_000_000);
    expect(await host.sh("stat -c %a /run/tsnet/containers/noisy/state.json")).toBe("600\n");
    await project.down();
  });

  test("logs -f goes on until it ends", async () => {
    await raise(`containers:\n  talker: { ${script("for i in 1 2 3; do echo $i; sleep 0.3; done")} }\n`);
    const { stdout } = await host.run([TSNET, "logs", "-f", "talker"]);
    expect(stdout).toBe("1\n2\n3\n");
    await project.down();
  });

  test.each([
    [
      "is not there",
      "command: [nosuchprogram]",
      /cannot start nosuchprogram: unshare: failed to execute nosuchprogram: No such file or directory/,
    ],
    [
      "is no program",
      "command: [/etc/passwd]",
      /cannot start \/etc\/passwd: unshare: failed to execute \/etc\/passwd: Permission denied/,
    ],
    [
      "has no working folder",
      "command: [sleep, '1'], workdir: /nowhere",
      /cannot start sleep: unshare: cannot chdir to '\/nowhere': No such file or directory/,
    ],
    [
      "has no place to mount on",
      "command: [sleep, '1'], mounts: ['/etc:/nowhere']",
      /there is no \/nowhere on the host's root to mount on/,
    ],
    [
      "has a folder to mount on a file",
      "command: [sleep, '1'], mounts: ['/opt:/etc/passwd']",
      /cannot mount \/opt on \/etc\/passwd of container c: one is a folder and the other is not \(ENOTDIR\)/,
    ],
  ])("a command that %s is an error, and nothing of its container is left", async (_, keys, message) => {
    const before = await host.snapshot();
    await project.write(`containers:\n  c: { ${keys} }\n`);
    const { exitCode, stderr } = await project.up();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(message);
    expect(await project.ps()).toEqual([]);
    await project.down();
    expect(await host.snapshot()).toBe(before);
  });
});

describe("containers row 28: exec", () => {
  let host: Host;

  beforeAll(async () => {
    host = await Host.create();
    const project = await Project.create(
      host,
      "ex",
      `containers:\n${sleeper("box")}${"  done: { command: ['true'] }\n"}`,
    );
    await project.raise();
  });
  afterAll(() => host.destroy());

  test("passes on standard input and output", async () => {
    const { stdout, stderr } = await host.run([TSNET, "exec", "box", "sh", "-c", "cat; echo oops >&2"], {
      stdin: "hello\n",
    });
    expect([stdout, stderr]).toEqual(["hello\n", "oops\n"]);
  });

  test.each([
    ["its exit code", ["box", "sh", "-c", "exit 7"], 7],
    ["128 and the signal that ended it", ["box", "sh", "-c", "kill -9 $$"], 137],
    ["127 for a command that is not there", ["box", "nosuchprogram"], 127],
    ["126 for one that cannot be started", ["box", "/etc/passwd"], 126],
    ["125 for a container that is not there", ["nosuch", "true"], 125],
    ["125 for a container that has ended", ["done", "true"], 125],
    ["2 for a wrong call", ["box"], 2],
  ])("returns %s", async (_, args, code) => {
    expect((await host.run([TSNET, "exec", ...args])).exitCode).toBe(code);
  });

  test("takes environment, user and folder", async () => {
    const out = await host.ok([
      TSNET,
      "exec",
      "-e",
      "A=b=c",
      "-u",
      "daemon",
      "-w",
      "/usr",
      "box",
      "sh",
      "-c",
      "echo $A $(id -un) $PWD",
    ]);
    expect(out).toBe("b=c daemon /usr\n");
  });

  test("leaves options behind the name to the command", async () => {
    expect(await host.ok([TSNET, "exec", "box", "echo", "-e", "x", "--help"])).toBe("x --help\n");
  });

  test("gives it a terminal where there is one, of its size, with Ctrl-C for the command alone", async () => {
    const command = `stty rows 33 cols 99; ${TSNET} exec box sh -c 'trap "echo interrupted; exit 5" INT; tty >/dev/null && stty size; echo ready; while :; do sleep 0.1; done'; echo code $?`;
    const terminal = await inTerminal(host, command, "ready", "\u0003");
    expect(terminal).toContain("33 99");
    expect(terminal).toContain("interrupted");
    expect(terminal).toContain("code 5");
  });

  test("has Ctrl-C reach the command where only the terminal's signal does", async () => {
    const command = `trap : INT; ${TSNET} exec -T box sh -c 'trap "echo interrupted; exit 6" INT; echo ready; while :; do sleep 0.1; done'; echo code $?`;
    const terminal = await inTerminal(host, command, "ready", "\u0003");
    expect(terminal).toContain("interrupted");
    expect(terminal).toContain("code 6");
  });

  test("what it started goes with the container", async () => {
    const running = host.run([TSNET, "exec", "box", "sh", "-c", "echo started; sleep infinity"]);
    await eventually(
      async () =>
        (await inside(host, "box", "ls", "/proc")).split("\n").filter((name) => /^\d+$/.test(name)).length > 3,
      "it runs",
    );
    await host.ok([TSNET, "down", "--project", "ex", "-t", "0"]);
    expect((await running).exitCode).not.toBe(0);
  });
});

describe("a host that has been made a router", () => {
  test("containers row 2: keeps its own default route of IPv6", async () => {
    await using host = await world();
    await host.sh("sysctl -qw net.ipv6.conf.up0.accept_ra=1");
    const project = await Project.create(
      host,
      "ra",
      `networks: { net: { ipv6: true } }\ncontainers:\n${sleeper("c", ", networks: [net]")}`,
    );
    await project.raise();
    expect(await host.sh("cat /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/up0/accept_ra")).toBe(
      "1\n2\n",
    );
    expect((await project.ps())[0]?.interfaces[0]?.addresses[1]).toMatch(/^fd[0-9a-f:]+\/64$/);
  });

  test("containers row 3: forwards only from and to our links, and down says that forwarding stays on", async () => {
    await using host = await world();
    // Two networks beyond the host that would reach each other through it.
    await host.addNetns("far");
    await host.sh(`
      ip link add up2 type veth peer name up3 netns far
      ip addr add 192.168.60.1/24 dev up2; ip link set up2 up
      ip -n far addr add 192.168.60.2/24 dev up3; ip -n far link set up3 up
      ip -n far route add default via 192.168.60.1; ip -n beyond route add default via ${HOST[4]}
      sysctl -qw net.ipv4.ip_forward=0
    `);
    const reaches = async () =>
      (await host.inNetns("far", ["busybox", "ping", "-c1", "-W1", "192.168.50.2"])).exitCode === 0;
    expect(await reaches()).toBe(false);
    const project = await Project.create(host, "router", `containers:\n${sleeper("c")}`);
    await project.raise();
    expect(await host.sh("cat /proc/sys/net/ipv4/ip_forward")).toBe("1\n");
    expect(await reaches()).toBe(false);
    expect((await tryInside(host, "c", "busybox", "ping", "-c1", "-W1", "192.168.60.2")).exitCode).toBe(0);
    const { stderr } = await host.run([TSNET, "down", "--project", "router"]);
    expect(stderr).toContain("net.ipv4.ip_forward stays on");
    expect(await host.sh("nft list tables")).not.toContain("tsnet-guard");
  });

  test("containers row 3: is left alone where forwarding was on before", async () => {
    await using host = await world();
    await host.sh("sysctl -qw net.ipv4.ip_forward=1");
    const project = await Project.create(host, "router", `containers:\n${sleeper("c")}`);
    await project.raise();
    expect(await host.sh("nft list tables")).not.toContain("tsnet-guard");
    expect((await host.run([TSNET, "down", "--project", "router"])).stderr).toBe("");
  });

  test("containers row 11: gives networks the smallest MTU of its default routes, and a subnet that nothing has", async () => {
    await using host = await world();
    await host.sh(`
      ip link set up0 mtu 1380; ip route add default via 192.168.50.2
      ip route add 172.17.5.0/24 dev up0; ip route add 172.18.0.0/16 via 192.168.50.2
      mkdir -p /etc/cni/net.d
      echo '{"name":"n","plugins":[{"type":"bridge","ipam":{"ranges":[[{"subnet":"172.19.4.0/24"}]]}}]}' > /etc/cni/net.d/10-n.conflist
    `);
    await host.ok(["tee", "/etc/resolv.conf"], { stdin: "nameserver 172.20.0.53\n" });
    const project = await Project.create(
      host,
      "mtu",
      `networks: { second: , small: { mtu: 1300 } }\ncontainers:\n${sleeper("c", ", networks: [second, small]")}`,
    );
    await project.raise();
    expect((await project.ps())[0]?.interfaces.map(({ addresses }) => addresses)).toEqual([
      ["172.21.0.2/16"],
      ["172.22.0.2/16"],
    ]);
    expect(await inside(host, "c", "cat", "/sys/class/net/eth0/mtu", "/sys/class/net/eth1/mtu")).toBe("1380\n1300\n");
    // The first network's is the way out.
    expect(await inside(host, "c", "ip", "route", "show", "default")).toBe("default via 172.21.0.1 dev eth0 \n");
  });
});

describe("containers row 1: a host that drops what it forwards", () => {
  const yaml = `containers:\n${sleeper("c")}`;
  const reaches = async (host: Host) =>
    (await tryInside(host, "c", "busybox", "ping", "-c1", "-W1", "192.168.50.2")).exitCode === 0;

  test.each([
    ["Docker's FORWARD policy", "iptables -P FORWARD DROP"],
    ["a drop in iptables-legacy", "iptables-legacy -P FORWARD DROP"],
  ])("lets containers through: %s", async (_, script) => {
    await using host = await world();
    await host.sh(script);
    const before = await host.snapshot();
    const project = await Project.create(host, "fw", yaml);
    await project.raise();
    expect(await reaches(host)).toBe(true);
    await project.down();
    expect(await host.snapshot()).toBe(before);
  });

  test("is told before any change where a chain of its own cannot be overruled", async () => {
    await using host = await world();
    await host.sh(
      "nft add table inet filter; nft 'add chain inet filter forward { type filter hook forward priority 0; policy drop; }'",
    );
    const before = await host.snapshot();
    const project = await Project.create(host, "fw", yaml);
    const { exitCode, stderr } = await project.up();
    expect(exitCode).toBe(1);
    expect(stderr).toContain("chain inet filter forward drops");
    expect(await host.snapshot()).toBe(before);
  });
});
