/** docs/getting-started.md and the units in examples/systemd: each of their commands is run. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Host, PROJECT, TSNET } from "./host.ts";
import { eventually } from "./standalone.ts";
import { world } from "./world.ts";

let host: Host;
let before: string;

beforeEach(async () => {
  host = await world();
  await host.sh(`mkdir -p /opt/bin /opt/shop; ln -s ${TSNET} /opt/bin/tsnet`);
  before = await host.snapshot();
});
afterEach(() => host.destroy());

/** Types a line of a page; its output. */
function type(line: string, folder = "/opt"): Promise<string> {
  return host.ok(["sh", "-ec", `cd ${folder}; PATH=/opt/bin:$PATH; ${line}`]);
}

describe("docs/getting-started.md", () => {
  const page = readFileSync(`${PROJECT}/docs/getting-started.md`, "utf8");
  const blocks = [...page.matchAll(/^```console\n([\s\S]*?)^```/gm)].map(([, text = ""]) =>
    text.split("\n").flatMap((line) => (line.startsWith("# ") ? [line.slice(2)] : [])),
  );
  const [, yaml = ""] = /^```yaml\n([\s\S]*?)^```/m.exec(page) ?? [];

  /** Types a block, line by line, until each has worked: a server may need a moment. */
  async function typeAll(lines: readonly string[] = [], folder?: string): Promise<ReadonlyMap<string, string>> {
    const said = new Map<string, string>();
    for (const line of lines) {
      await eventually(async () => {
        const out = await type(line, folder).catch((error: unknown) => String(error));
        said.set(line, out);
        return !out.startsWith("Error: ");
      }, `${line} works`);
    }
    return said;
  }

  test("one command, one container", async () => {
    const said = await typeAll(blocks[0]);
    expect(said.get("tsnet ps")).toMatch(
      /^local +web +running \d+s +local\.front +\S+ +8080->8000\/tcp +busybox httpd/m,
    );
    expect(said.get("tsnet run --rm --network front busybox ping -c 1 web")).toContain("1 packets received");
    expect(said.get("tsnet exec web cat /etc/resolv.conf")).toContain("nameserver 127.0.0.11\n");
    expect(said.get("curl -s http://127.0.0.1:8080/")).toBe("hello\n");
    expect(await host.snapshot()).toBe(before);
  });

  test("several, from a file", async () => {
    await host.ok(["tee", "/opt/shop/tsnet.yaml"], { stdin: yaml });
    const said = await typeAll(blocks[1], "/opt/shop");
    expect(said.get("tsnet exec web busybox nc sql 5432")).toBe("hello\n");
    await typeAll(blocks[2], "/opt/shop");
    expect(await host.snapshot()).toBe(before);
  });
});

test("docs/standalone.md: its file shows a page, and its helper says what it serves", async () => {
  const page = readFileSync(`${PROJECT}/docs/standalone.md`, "utf8");
  const [, yaml = ""] = /^```yaml\n([\s\S]*?)^```/m.exec(page) ?? [];
  const [, status = ""] = /^- `(curl --unix-socket \S+ \S+)`/m.exec(page) ?? [];
  await host.sh("mkdir -p /opt/shop/www; echo hello >/opt/shop/www/index.html");
  await host.ok(["tee", "/opt/shop/tsnet.yaml"], { stdin: yaml });
  await type("tsnet up", "/opt/shop");
  const fetched = async () => (await host.run(["curl", "-s", "http://127.0.0.1:8080/"])).stdout === "hello\n";
  await eventually(fetched, "the page is there");
  expect(JSON.parse(await type(status))).toMatchObject({ containers: 2, errors: [], repairs: 0 });
  await type("tsnet down", "/opt/shop");
  await type("tsnet down --project hello");
});

describe("docs/troubleshooting.md", () => {
  const page = readFileSync(`${PROJECT}/docs/troubleshooting.md`, "utf8");
  const [, block = ""] = /^## A name does not resolve\n[\s\S]*?^```console\n([\s\S]*?)^```/m.exec(page) ?? [];

  test("where a name does not resolve, its commands show why", async () => {
    await type("tsnet run -d --name web sleep infinity");
    const [asked = "", status = "", log = ""] = block.split("\n").map((line) => line.replace(/^# /, ""));
    expect(await type(asked)).toContain("nameserver 127.0.0.11\n");
    expect(JSON.parse(await type(status))).toMatchObject({ containers: 1, errors: [] });
    await type(log);
    await type("tsnet rm -f web");
  });
});

describe("examples/systemd", () => {
  /** A line of a unit as systemd runs it; a `-` before it lets it fail. */
  function commandsOf(unit: string, key: string, instance = ""): readonly string[] {
    const text = readFileSync(`${PROJECT}/examples/systemd/${unit}`, "utf8");
    return [...text.matchAll(new RegExp(`^${key}=(-?)(/usr/local/bin/tsnet .*)$`, "gm"))].map(
      ([, may = "", line = ""]) =>
        `${line.replace("/usr/local/bin/", "").replaceAll("%i", instance)}${may === "" ? "" : " || true"}`,
    );
  }

  test("tsnet@.service brings a file up, follows an edit, and takes it down without the file", async () => {
    const file = (commands: readonly string[]) =>
      `containers:\n${commands.map((name) => `  ${name}: { command: [sleep, infinity] }\n`).join("")}`;
    const [[start], [reload], [stop]] = ["ExecStart", "ExecReload", "ExecStop"].map((key) =>
      commandsOf("tsnet@.service", key, "shop"),
    ) as [readonly string[], readonly string[], readonly string[]];
    await host.sh("mkdir -p /etc/tsnet/shop");
    await host.ok(["tee", "/etc/tsnet/shop/tsnet.yaml"], { stdin: file(["one"]) });
    await type(start ?? "");
    await host.ok(["tee", "/etc/tsnet/shop/tsnet.yaml"], { stdin: file(["one", "two"]) });
    await type(reload ?? "");
    expect(await type("tsnet ps -a")).toMatch(/^shop +one +running [\s\S]*^shop +two +running /m);
    await host.sh("rm -r /etc/tsnet/shop");
    await type(stop ?? "");
    expect(await host.snapshot()).toBe(before);
  });

  test("web.service: TERM ends the container, a kill leaves nothing that the next start cannot take away", async () => {
    const [pre = ""] = commandsOf("web.service", "ExecStartPre");
    const [start = ""] = commandsOf("web.service", "ExecStart");
    const [post = ""] = commandsOf("web.service", "ExecStopPost");
    await host.sh("mkdir -p /opt/www; echo hello >/opt/www/index.html");
    await type("tsnet network create front");
    const fetched = async () => (await host.run(["curl", "-s", "http://127.0.0.1:8080/"])).stdout === "hello\n";
    for (const signal of ["TERM", "KILL", "TERM"]) {
      await type(pre);
      const unit = host.spawn([
        "sh",
        "-c",
        `PATH=/opt/bin:$PATH; echo $$; exec ${start.replace("/srv/www", "/opt/www")}`,
      ]);
      const pid = (await unit.stdout.getReader().read()).value ?? new Uint8Array();
      await eventually(fetched, "the page is there");
      await host.ok(["kill", `-${signal}`, new TextDecoder().decode(pid).trim()]);
      await unit.exited;
    }
    await type(post);
    expect(await type("tsnet ps -a -q")).toBe("");
    await type("tsnet network rm front");
    expect(await host.snapshot()).toBe(before);
  });
});
