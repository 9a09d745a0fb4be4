/** docs/coming-from-docker.md: what it says to type works, in its order, and leaves nothing. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PROJECT, TSNET } from "./host.ts";
import { makeRootfs } from "./standalone.ts";
import { world } from "./world.ts";

const PAGE = readFileSync(`${PROJECT}/docs/coming-from-docker.md`, "utf8");

test("docs/coming-from-docker.md: each command of ours works, one after the other, and the host is as before", async () => {
  await using host = await world();
  const commands = [...PAGE.matchAll(/^\| `(?:docker|podman) .*\| `(tsnet .*)` \|$/gm)].map(
    ([, command = ""]) => command,
  );
  const [, yaml = ""] = /^```yaml\n([\s\S]*?)^```/m.exec(PAGE) ?? [];
  expect(commands.length).toBeGreaterThan(25);
  await host.sh(`mkdir -p /opt/bin /opt/here/www; ln -s ${TSNET} /opt/bin/tsnet; echo hello >/opt/here/www/index.html`);
  await makeRootfs(host, "/opt/here/root");
  const before = await host.snapshot();
  for (const command of commands) {
    // The file comes with the commands that are about it.
    if (command === "tsnet up --dry-run") await host.ok(["tee", "/opt/here/tsnet.yaml"], { stdin: yaml });
    const out = await host.run(["sh", "-ec", `cd /opt/here; PATH=/opt/bin:$PATH; ${command}`]);
    expect({ command, ...out }).toMatchObject({ command, exitCode: 0 });
    if (command.includes("-p 8080:80")) expect(await host.ok(["curl", "-s", "http://127.0.0.1:8080/"])).toBe("hello\n");
  }
  expect(await host.snapshot()).toBe(before);
});
