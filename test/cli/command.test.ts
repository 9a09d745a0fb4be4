/** The command as people type it, run from source. */
import { expect, test } from "vitest";
import { pluginNames } from "../../plugins/names.ts";

async function tsnet(argv: readonly string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, "cli/main.ts", ...argv], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...env },
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, exitCode };
}

test.each([
  [["--bogus"], "unknown option '--bogus': see 'tsnet --help'"],
  [["nonsense"], "unknown command 'nonsense': see 'tsnet --help'"],
  [["versoin"], "unknown command 'versoin': did you mean 'version'? Or see 'tsnet --help'"],
  [["cni", "add"], "missing required argument 'network': see 'tsnet cni add --help'"],
  [["cni", "nonsense"], "unknown command 'nonsense': see 'tsnet cni --help'"],
  [["cni", "del", "n"], "no container named: give the namespace, or --container-id"],
  [["version", "-o", "xml"], /Allowed choices are table, json: see 'tsnet version --help'/],
  [
    ["overlay", "-iface-regx", "x"],
    "unknown option '--iface-regx': did you mean '--iface-regex'? Or see 'tsnet overlay --help'",
  ],
  [["overlay", "statsu"], "unknown command 'statsu': did you mean 'status'? Or see 'tsnet overlay --help'"],
  [["overlay", "-ip-masq", "true"], "unknown command 'true': write --flag=true, with no space"],
  [["overlay", "--healthz-port=x"], "--healthz-port=x: wanted is a whole number"],
  [["overlay", "status", "--timeout", "x"], "--timeout x is no duration: write one such as 1s or 500ms"],
  [["system", "prune"], /^tsnet: unknown command 'system': tsnet network prune removes networks that nobody is on/],
  [["run", "--label=a=b", "true"], /^tsnet: unknown option '--label=a=b': containers have no labels/],
  [["rm", "-fv", "web"], "unknown option '-v': leave it out: there are no volumes"],
  [
    ["network", "create", "--attachable", "x"],
    "unknown option '--attachable': leave it out: every container may be on it",
  ],
  [["constructor"], "unknown command 'constructor': see 'tsnet --help'"],
])("%j is bad usage: exit 2, nothing on standard output, and the way out", async (argv, message) => {
  const { exitCode, stdout, stderr } = await tsnet(argv);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  if (typeof message === "string") expect(stderr).toBe(`tsnet: ${message}\n`);
  else expect(stderr).toMatch(message);
});

test("a failure is exit 1 and one line on standard error", async () => {
  expect(await tsnet(["cni", "status", "n", "--conf-dir", "/nonexistent"])).toEqual({
    exitCode: 1,
    stdout: "",
    stderr: 'tsnet: no network "n" in /nonexistent (there is none)\n',
  });
});

test.each([[[]], [["cni"]], [["network"]]])("%j without a command shows help and is bad usage", async (argv) => {
  const { exitCode, stdout, stderr } = await tsnet(argv);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  expect(stderr).toContain("Usage: tsnet");
});

test("help may be asked for by word", async () => {
  const asked = await tsnet(["help", "cni", "add"]);
  expect(asked).toEqual(await tsnet(["cni", "add", "--help"]));
  expect(asked).toMatchObject({ exitCode: 0, stderr: "" });
});

test("every command has help with an example", async () => {
  const verbs = ["add", "del", "check", "gc", "status"].map((verb) => `cni ${verb}`);
  const standalone = ["up", "down", "run", "stop", "rm", "ps", "inspect", "logs", "exec"];
  const commands = [
    "",
    ...standalone,
    "cni",
    ...verbs,
    "network",
    ...["ls", "create", "rm", "inspect", "connect", "disconnect", "prune", "reload"].map((verb) => `network ${verb}`),
    "overlay",
    "overlay status",
    "install",
    "convert",
    "completion",
    "version",
  ];
  for (const command of commands) {
    const { exitCode, stdout } = await tsnet([...command.split(" ").filter((word) => word !== ""), "--help"]);
    expect({ command, exitCode }).toEqual({ command, exitCode: 0 });
    expect(stdout).toMatch(/Examples?:\n {2}/);
  }
});

test("version says what is in it, for people and for programs", async () => {
  expect((await tsnet(["version"])).stdout).toMatch(/^VERSION .*\n\d+\.\d+\.\d+ /);
  expect(JSON.parse((await tsnet(["version", "-o", "json"])).stdout)).toMatchObject({
    plugins: pluginNames,
  });
  expect((await tsnet(["--version"])).stdout).toBe((await tsnet(["version"])).stdout);
});

test("install refuses to copy a run from source", async () => {
  const { exitCode, stderr } = await tsnet(["install", "--bin-dir", "/nonexistent/bin"]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("npm run build");
});
