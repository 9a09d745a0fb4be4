/** Mounts by the kernel's own calls, and the thread in another mount namespace for a moment. */
import type { Subprocess } from "bun";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";

const SYS = `${import.meta.dirname}/../../../lib/sys`;
// One of the Host's own: /run is its own, too.
const FOLDER = "/run/place";

let host: Host;
let holder: Subprocess;
/** The process whose mounts are entered. */
let pid: number;

beforeAll(async () => {
  host = await Host.create();
  await host.ok(["mkdir", "-p", `${FOLDER}/a`, `${FOLDER}/b`, `${FOLDER}/new`]);
  const script = "echo $$; exec sleep infinity";
  const started = host.spawn(["unshare", "--mount", "--propagation", "slave", "sh", "-c", script]);
  holder = started;
  const { value } = await started.stdout.getReader().read();
  pid = Number(new TextDecoder().decode(value));
});
afterAll(async () => {
  holder.kill();
  await host.destroy();
});

const CODE = `
  const mounts = await import("${SYS}/mounts.ts");
  const { identify } = await import("${SYS}/process.ts");
  const fs = await import("node:fs");
  const into = (pid, work) => mounts.insideMounts(identify(pid), work);
`;
/** Runs a program of ours on the host. */
const run = (code: string, cwd = "/") =>
  host.ok(["sh", "-c", 'cd "$0" && exec "$@"', cwd, process.execPath, "-e", CODE + code]);
/** What is mounted at `path` in a process's eyes: flags, with whom it is shared, type, source, options. */
const mountAt = (path: string, of: number | "self" = "self") =>
  host.sh(`awk '$5 == "${path}"' /proc/${of}/mountinfo | tail -n 1 | cut -d' ' -f6-`);

describe("a step into the mounts of another process", () => {
  test("shows and changes those alone, and leads back to where it was", async () => {
    const code = `
      process.umask(0o027);
      const before = [process.cwd(), fs.readlinkSync("/proc/self/cwd"), fs.readlinkSync("/proc/self/root")];
      for (let at = 0; at < 20; at++) {
        const ours = mounts.pathToOwnRoot() + "${FOLDER}/mine/in";
        const there = into(${pid}, () => {
          mounts.mountNew({ source: "there", target: "${FOLDER}/a", type: "tmpfs", flags: [] });
          fs.writeFileSync("${FOLDER}/a/file", "");
          const seen = [fs.readlinkSync("/proc/self/cwd"), fs.readdirSync("${FOLDER}/a"), fs.existsSync(ours)];
          mounts.unmount("${FOLDER}/a");
          return seen;
        });
        if (at === 0) console.log(JSON.stringify(there));
        // Programs and the runtime's own threads, while steps go on.
        const child = Bun.spawn(["sh", "-c", "pwd; umask; readlink /proc/self/ns/mnt; ls ${FOLDER}/a"], { stdout: "pipe" });
        const names = fs.promises.readdir("${FOLDER}/a");
        into(${pid}, () => fs.statSync("/"));
        const said = await new Response(child.stdout).text();
        const same = "${FOLDER}\\n0027\\n" + fs.readlinkSync("/proc/self/ns/mnt") + "\\n";
        if (said !== same || (await names).length > 0) console.log("strayed:", said, await names);
      }
      const after = [process.cwd(), fs.readlinkSync("/proc/self/cwd"), fs.readlinkSync("/proc/self/root")];
      console.log(JSON.stringify([before, after]), process.umask().toString(8));
      fs.writeFileSync("${FOLDER}/b/made", "");
      await fs.promises.writeFile("${FOLDER}/b/made-too", "");
      console.log((fs.statSync("${FOLDER}/b/made").mode & 0o777).toString(8));`;
    // Mounted later, so that the others do not have it.
    await host.sh(
      `mkdir -p ${FOLDER}/mine; mount --make-private -t tmpfs none ${FOLDER}/mine; mkdir ${FOLDER}/mine/in`,
    );
    const here = [FOLDER, FOLDER, "/"];
    expect(await run(code, FOLDER)).toBe(
      `${JSON.stringify(["/", ["file"], true])}\n${JSON.stringify([here, here])} 27\n640\n`,
    );
  });

  test("leads back into the root that it was called in", async () => {
    await host.sh(
      "mkdir -p /opt/jail; mount --rbind / /opt/jail; mount -t tmpfs none /opt/jail/mnt; mkdir /opt/jail/mnt/in",
    );
    const code = `
      const names = () => JSON.stringify(fs.readdirSync("/mnt").includes("in"));
      console.log(names(), into(${pid}, names), names(), process.cwd());`;
    expect(
      await host.ok(["chroot", "/opt/jail", "sh", "-c", 'cd /usr && exec "$0" -e "$1"', process.execPath, CODE + code]),
    ).toBe("true false true /usr\n");
    await host.ok(["umount", "--lazy", "/opt/jail"]);
  });

  test("is an error where the process is gone, or has no mounts of its own", async () => {
    const code = `
      const said = (work) => { try { work(); } catch ({ code, message }) { console.log(code, message); } };
      const gone = { ...identify(${pid}), startTime: 1 };
      said(() => mounts.insideMounts(gone, () => 0));
      said(() => into(process.pid, () => 0));`;
    expect(await run(code)).toMatch(
      /^not-found process \d+ has ended\nconflict process \d+ has our mounts, not its own\n$/,
    );
  });

  test("comes back with the error of what is done there", async () => {
    const code = `
      const home = fs.readlinkSync("/proc/self/ns/mnt");
      try {
        into(${pid}, () => mounts.mountBind({ source: "/nowhere", target: "${FOLDER}/a" }));
      } catch ({ errno }) {
        console.log(errno, home === fs.readlinkSync("/proc/self/ns/mnt"));
      }`;
    expect(await run(code)).toBe("ENOENT true\n");
  });
});

describe("a mount", () => {
  test("that is bound keeps what its source does not allow, and gets more", async () => {
    await host.sh(`mount -t tmpfs -o nosuid,noexec,noatime none ${FOLDER}/a; mkdir ${FOLDER}/a/dir`);
    await run(`
      mounts.mountBind({ source: "${FOLDER}/a/dir", target: "${FOLDER}/b", flags: ["ro", "nodev"] });`);
    expect(await mountAt(`${FOLDER}/b`)).toMatch(/^ro,nosuid,nodev,noexec,noatime - tmpfs none rw\b/);
    expect(await mountAt(`${FOLDER}/a`)).toMatch(/^rw,nosuid,noexec,noatime - tmpfs none rw\b/);
    await host.sh(`umount ${FOLDER}/b ${FOLDER}/a`);
  });

  test("that is new has the options of its kind", async () => {
    await run(`
      mounts.mountNew({ source: "one", target: "${FOLDER}/a", type: "tmpfs", flags: ["nosuid", "nodev"], data: "mode=1777,size=64m" });`);
    expect(await host.ok(["stat", "-c", "%a", `${FOLDER}/a`])).toBe("1777\n");
    expect(await mountAt(`${FOLDER}/a`)).toMatch(/^rw,nosuid,nodev,relatime - tmpfs one rw,size=65536k\b/);
    await run(`
      mounts.mountNew({ source: "two", target: "${FOLDER}/b", type: "sysfs", flags: ["ro", "noexec"] });
      mounts.mountNew({ source: "three", target: "${FOLDER}/new", type: "sysfs", flags: ["nosuid"] });`);
    // One file system, and read-only where that was said.
    expect(await mountAt(`${FOLDER}/b`)).toBe("ro,noexec,relatime - sysfs two rw\n");
    expect(await mountAt(`${FOLDER}/new`)).toBe("rw,nosuid,relatime - sysfs three rw\n");
    await host.ok(["umount", `${FOLDER}/a`, `${FOLDER}/b`, `${FOLDER}/new`]);
  });

  test("that is unbindable is left out of a recursive bind, and can be moved into it", async () => {
    const code = `
      into(${pid}, () => {
        mounts.mountNew({ source: "mine", target: "${FOLDER}/a", type: "tmpfs", flags: ["noexec"] });
        mounts.makeUnbindable("${FOLDER}/a");
        mounts.mountBind({ source: "/run", target: "${FOLDER}/new", recursive: true });
        console.log(fs.readFileSync("/proc/thread-self/mountinfo", "utf8").split(" mine ").length - 1);
        mounts.mountMove("${FOLDER}/a", "${FOLDER}/new/place/b");
        console.log(mounts.unmount("${FOLDER}/a"));
      });`;
    expect(await run(code)).toBe("1\nfalse\n");
    // Nobody else's, and nothing that says so.
    expect(await mountAt(`${FOLDER}/new/place/b`, pid)).toMatch(/^rw,noexec,relatime - tmpfs mine rw\b/);
    expect(await host.sh(`grep -c ' mine ' /proc/self/mountinfo || true`)).toBe("0\n");
  });

  test("becomes the root of all who were in the old one", async () => {
    await run(`
      into(${pid}, () => {
        mounts.mountNew({ source: "root", target: "${FOLDER}/b", type: "tmpfs", flags: [] });
        fs.mkdirSync("${FOLDER}/b/only");
        mounts.changeRoot("${FOLDER}/b");
        if (fs.readdirSync("/").join() !== "only") throw new Error("another root");
      });`);
    expect(await host.sh(`ls /proc/${pid}/root /proc/${pid}/cwd/; cut -d' ' -f5 /proc/${pid}/mountinfo`)).toBe(
      `/proc/${pid}/cwd/:\nonly\n\n/proc/${pid}/root:\nonly\n/\n`,
    );
  });
});
