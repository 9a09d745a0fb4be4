/**
 * The executable as whoever calls it meets it: what it takes from the folder and the name that it is called in and
 * by, and what it does with standard streams that are not there.
 */
import { link, mkdir, mkdtemp, readdir, rm, stat, symlink } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pluginNames } from "../../plugins/names.ts";
import { Host, type Output, PLUGINS, PROJECT, TSNET } from "./host.ts";

const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/** Where a plugin's versions begin later, as the reference's do. */
const FIRST: Readonly<Record<string, string>> = { bandwidth: "0.3.0", vrf: "0.3.1", firewall: "0.4.0" };

const versionsOf = (plugin: string) => VERSIONS.slice(VERSIONS.indexOf(FIRST[plugin] ?? "0.1.0"));
const versionAnswer = (plugin: string) => ({
  cniVersion: expect.any(String),
  supportedVersions: versionsOf(plugin),
});

/** Those whose name is no command's as well. */
const pluginsAlone = pluginNames.filter((name) => name !== "tsnet");

/** All that Bun may take up from a working directory or a home. Each would show that it was read. */
const TRAPS = {
  "bunfig.toml": 'preload = ["./preload.js"]\n',
  ".bunfig.toml": 'preload = ["./preload.js"]\n',
  "preload.js": 'require("node:fs").writeFileSync(process.env.TRAP + "/sprung", "preload");\n',
  ".env": "CNI_COMMAND=VERSION\n",
  ".env.local": "CNI_COMMAND=VERSION\n",
  ".env.production": "CNI_COMMAND=VERSION\n",
  ".env.development": "CNI_COMMAND=VERSION\n",
  "package.json": '{ "name": "trap", "version": "9.9.9", "imports": { "#*": "./preload.js" } }\n',
  "tsconfig.json": '{ "compilerOptions": { "paths": { "*": ["./preload.js"] } } }\n',
};

let folder: string;

// Under the project and not in /tmp: a hard link stays within a file system.
beforeAll(async () => {
  await mkdir(`${PROJECT}/.cache`, { recursive: true });
  folder = await mkdtemp(`${PROJECT}/.cache/executable-`);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the caller's folder", () => {
  let trap: string;

  beforeAll(async () => {
    trap = `${folder}/trap`;
    await mkdir(trap);
    for (const [name, text] of Object.entries(TRAPS)) await Bun.write(`${trap}/${name}`, text);
  });

  const inTrap = (argv: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    call(argv, { cwd: trap, env: { TRAP: trap, HOME: trap, XDG_CONFIG_HOME: trap, ...env } });

  test("a program compiled without our flags falls into the trap, so it is one", async () => {
    await Bun.write(`${folder}/naive.ts`, "console.log(process.env.CNI_COMMAND);\n");
    await ok([process.execPath, "build", "--compile", `${folder}/naive.ts`, `--outfile=${folder}/naive`]);

    const { stdout } = await inTrap([`${folder}/naive`]);

    expect(stdout).toBe("VERSION\n");
    expect(await readdir(trap)).toContain("sprung");
    await rm(`${trap}/sprung`);
  });

  test.each(pluginsAlone)("%s takes up no bunfig, .env, package.json or tsconfig of it", async (plugin) => {
    const asked = await inTrap([`${PLUGINS}/${plugin}`], { CNI_COMMAND: "VERSION" });
    const notAsked = await inTrap([`${PLUGINS}/${plugin}`]);

    expect(JSON.parse(asked.stdout)).toEqual(versionAnswer(plugin));
    // With the .env taken up it would be asked for its versions.
    expect(notAsked).toMatchObject({ exitCode: 0, stdout: "" });
    expect((await readdir(trap)).sort()).toEqual(Object.keys(TRAPS).sort());
  });

  test("tsnet takes up none of it either", async () => {
    const { exitCode, stdout } = await inTrap([TSNET, "version"]);

    expect(exitCode).toBe(0);
    expect(stdout).not.toContain("9.9.9");
    expect((await readdir(trap)).sort()).toEqual(Object.keys(TRAPS).sort());
  });

  test.each(["tsnet", ...pluginsAlone])("%s does not so much as look at a file there", async (name) => {
    const program = name === "tsnet" ? [TSNET, "version"] : [`${PLUGINS}/${name}`];
    const trace = `${folder}/trace-${name}`;
    await inTrap(["strace", "-f", "-o", trace, "-e", "trace=%file", ...program], { CNI_COMMAND: "VERSION" });

    const calls = (await Bun.file(trace).text()).split("\n").filter((line) => !/execve\(|getcwd\(/.test(line));
    expect(calls.length).toBeGreaterThan(10);
    // A path from here: one that does not begin with a slash, or that begins with this folder's name.
    expect(calls.filter((line) => /"[^"/][^"]*"/.test(line) || line.includes(trap))).toEqual([]);
  });
});

describe("the name that it is called by", () => {
  test("dist/cni holds hard links to dist/tsnet", async () => {
    const { ino } = await stat(TSNET);

    for (const plugin of pluginNames) expect((await stat(`${PLUGINS}/${plugin}`)).ino).toBe(ino);
    expect((await readdir(PLUGINS)).sort()).toEqual([...pluginNames].sort());
  });

  test.each(pluginsAlone)("a hard link and a symbolic link named %s are that plugin", async (plugin) => {
    const [hard, soft] = [`${folder}/hard-${plugin}`, `${folder}/soft-${plugin}`];
    for (const directory of [hard, soft]) await mkdir(directory);
    await link(TSNET, `${hard}/${plugin}`);
    await symlink(TSNET, `${soft}/${plugin}`);

    for (const directory of [hard, soft]) {
      const { stderr } = await call([`${directory}/${plugin}`]);
      expect(stderr).toContain(plugin);
      expect(stderr).toContain(`CNI protocol versions supported: ${versionsOf(plugin).join(", ")}\n`);
    }
  });

  test("a plugin found in PATH, called by its bare name, is that plugin", async () => {
    const { stdout } = await call(["sh", "-c", "exec loopback"], {
      env: { PATH: `${PLUGINS}:${process.env.PATH}`, CNI_COMMAND: "VERSION" },
    });

    expect(JSON.parse(stdout)).toEqual(versionAnswer("loopback"));
  });

  test.each(["dist/tsnet", "dist/cni/tsnet"])(
    "%s is the plugin tsnet where a runtime calls it, else the command",
    async (path) => {
      const program = `${PROJECT}/${path}`;
      const env = { CNI_COMMAND: "VERSION" };

      expect(JSON.parse((await call([program], { env })).stdout)).toEqual(versionAnswer("tsnet"));
      expect(await call([program, "version"], { env })).toMatchObject({ exitCode: 0, stdout: /^VERSION / });
      expect((await call([program])).stderr).toContain("Usage: tsnet");
    },
  );

  test("any other name is the tsnet command", async () => {
    await symlink(TSNET, `${folder}/network`);

    const { exitCode, stdout } = await call([`${folder}/network`, "version"]);

    expect(exitCode).toBe(0);
    expect(stdout).toContain((await Bun.file(`${PROJECT}/package.json`).json()).version);
  });
});

test("programs in sbin are found though PATH is that of a plain su, which is without it", async () => {
  await using host = await Host.create();
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };
  const file = `${PROJECT}/examples/hello/tsnet.yaml`;

  const up = await host.run([TSNET, "up", "-f", file], { env });
  const down = await host.run([TSNET, "down", "-f", file], { env });

  expect(up).toMatchObject({ exitCode: 0, stderr: "" });
  expect(down).toMatchObject({ exitCode: 0, stdout: "hello: removed 2 containers and 1 network\n" });
});

describe("standard streams that are not there", () => {
  test.each(pluginNames)("%s answers VERSION with standard input closed", async (plugin) => {
    const { exitCode, stdout } = await call(["sh", "-c", `exec ${PLUGINS}/${plugin} <&-`], {
      env: { CNI_COMMAND: "VERSION" },
    });

    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual(versionAnswer(plugin));
  });

  test.each(pluginsAlone)(
    "%s called with no CNI_COMMAND says what it is on standard error and ends well",
    async (p) => {
      const { exitCode, stdout, stderr } = await call([`${PLUGINS}/${p}`]);

      expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
      expect(stderr).toMatch(
        new RegExp(`^.*${p}.*\\n(.*\\n)*CNI protocol versions supported: ${versionsOf(p)[0]}, .*1\\.1\\.0\\n$`),
      );
    },
  );

  test("tsnet ends well when nobody reads what it prints", async () => {
    const { stdout } = await call(["bash", "-c", `${TSNET} --help | true; echo "\${PIPESTATUS[0]}"`]);

    expect(stdout).toBe("0\n");
  });

  test("tsnet ends well with standard output closed", async () => {
    const { exitCode, stderr } = await call(["sh", "-c", `exec ${TSNET} version >&-`]);

    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  });
});

interface CallOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

async function call(argv: readonly string[], options: CallOptions = {}): Promise<Output> {
  const child = Bun.spawn([...argv], {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: options.cwd ?? folder,
    env: { PATH: process.env.PATH ?? "", ...options.env },
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}

async function ok(argv: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await call(argv);
  if (exitCode !== 0) throw new Error(`${argv.join(" ")} ended with ${exitCode}: ${stderr}`);
}
