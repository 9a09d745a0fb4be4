import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Log } from "../../../lib/daemon/log.ts";
import { type ManifestOptions, manifestSource } from "../../../proxy/source/manifests.ts";
import type { Source } from "../../../proxy/source/source.ts";
import { Recorder } from "./recorder.ts";

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

class Directory {
  readonly path = mkdtempSync(join(tmpdir(), "tsnet-source-"));
  readonly warnings: string[] = [];
  readonly sink = new Recorder();
  readonly source: Source;

  constructor(options: Partial<ManifestOptions> = {}) {
    const log: Log = {
      info() {},
      warn: (message, fields = {}) => this.warnings.push([message, fields.reason ?? []].flat().join(": ")),
      error() {},
      debug() {},
    };
    this.source = manifestSource({ directory: this.path, once: false, nodeName: "here", log, ...options });
    cleanups.push(
      () => rmSync(this.path, { recursive: true, force: true }),
      () => this.source.stop(),
    );
  }

  /** As editors do: beside, then over. */
  write(name: string, text: string): this {
    writeFileSync(join(this.path, `.${name}.new`), text);
    renameSync(join(this.path, `.${name}.new`), join(this.path, name));
    return this;
  }

  remove(name: string): this {
    rmSync(join(this.path, name));
    return this;
  }

  start(): this {
    this.source.start(this.sink);
    return this;
  }

  async settles(ids: readonly string[]): Promise<void> {
    await vi.waitFor(() => expect(this.sink.ids).toEqual(ids), { timeout: 5000, interval: 5 });
  }
}

function service(name: string, address = "10.96.0.10"): string {
  return `apiVersion: v1
kind: Service
metadata: {namespace: shop, name: ${name}}
spec:
  clusterIP: ${address}
  ports:
  - port: 80
`;
}

const SLICE = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.2]}]
`;

const OTHERS = `apiVersion: v1
kind: Node
metadata: {name: here}
---
apiVersion: v1
kind: Node
metadata: {name: there}
---
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: kubernetes}
spec: {cidrs: [10.96.0.0/12]}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {namespace: shop, name: other}
---
# nothing
`;

describe("a directory of manifests", () => {
  it("is read whole before start returns: YAML, documents, lists and JSON", () => {
    const list = {
      apiVersion: "v1",
      kind: "List",
      items: [{ apiVersion: "v1", kind: "Service", metadata: { name: "j" }, spec: { clusterIP: "10.96.0.3" } }],
    };
    const directory = new Directory({ once: true });
    directory
      .write("a.yaml", `${service("web")}---\n${SLICE}`)
      .write("b.yml", OTHERS)
      .write("c.json", JSON.stringify(list));
    directory.write("notes.txt", "x").write(".hidden.yaml", service("hidden")).start();
    expect(directory.sink.ids).toEqual([
      "EndpointSlice shop/web-1",
      "Node here",
      "Service default/j",
      "Service shop/web",
      "ServiceCIDR kubernetes",
    ]);
    expect(directory.sink.synchronized).toEqual(["Service", "EndpointSlice", "ServiceCIDR", "Node"]);
    expect(directory.warnings).toEqual([]);
  });

  it("that is not there is an error that says what to do", () => {
    const directory = new Directory({ directory: "/nowhere/at/all" });
    expect(() => directory.start()).toThrow(
      expect.objectContaining({
        code: "not-found",
        message: "directory of manifests /nowhere/at/all is not there: make it, or name another one",
      }),
    );
  });

  it("is followed: files come, change, are renamed and go", async () => {
    const directory = new Directory().write("a.yaml", service("a")).start();
    expect(directory.sink.ids).toEqual(["Service shop/a"]);
    directory.write("b.yaml", service("b"));
    await directory.settles(["Service shop/a", "Service shop/b"]);
    directory.write("a.yaml", `${service("c")}---\n${service("d")}`);
    await directory.settles(["Service shop/b", "Service shop/c", "Service shop/d"]);
    renameSync(join(directory.path, "b.yaml"), join(directory.path, "z.yaml"));
    directory.remove("a.yaml");
    await directory.settles(["Service shop/b"]);
    directory.remove("z.yaml");
    await directory.settles([]);
  });

  it("is followed through the link that a config map's volume swaps", async () => {
    const directory = new Directory();
    const version = (name: string, of: string) => {
      mkdirSync(join(directory.path, name));
      writeFileSync(join(directory.path, name, "a.yaml"), service(of));
      symlinkSync(name, join(directory.path, "..data.new"));
      renameSync(join(directory.path, "..data.new"), join(directory.path, "..data"));
    };
    version("..1", "old");
    symlinkSync("..data/a.yaml", join(directory.path, "a.yaml"));
    directory.start();
    expect(directory.sink.ids).toEqual(["Service shop/old"]);
    version("..2", "new");
    await directory.settles(["Service shop/new"]);
  });

  it("is looked at from time to time where events are missing, also after it was replaced as a whole", async () => {
    const directory = new Directory({ rescan: 20 }).write("a.yaml", service("a")).start();
    rmSync(directory.path, { recursive: true });
    await vi.waitFor(() => expect(directory.sink.connections).toContain(`down: ${directory.path} is not there`), 5000);
    expect(directory.sink.ids).toEqual(["Service shop/a"]);
    mkdirSync(directory.path);
    directory.write("b.yaml", service("b"));
    await directory.settles(["Service shop/b"]);
    expect(directory.sink.connections.at(-1)).toBe("up");
  });

  it("keeps what a file had that is broken now, and names file, line and column", async () => {
    const directory = new Directory().write("a.yaml", service("a")).write("b.yaml", service("b")).start();
    directory.write("a.yaml", `${service("x")}---\n${service("y")}\n  bad: [`);
    directory.write("b.yaml", service("c"));
    await directory.settles(["Service shop/a", "Service shop/c"]);
    expect(directory.warnings).toEqual([
      expect.stringMatching(
        `${directory.path}/a.yaml cannot be read: what it said before holds on: ${directory.path}/a.yaml:17:\\d+: `,
      ),
    ]);
    directory.write("a.yaml", service("x"));
    await directory.settles(["Service shop/c", "Service shop/x"]);
  });

  it("names an object that cannot be read, with its file, and keeps the others", () => {
    const bad = service("bad").replace("port: 80", "port: eighty");
    const directory = new Directory().write("a.yaml", `${bad}---\n${service("a")}---\nkind: 5\n---\n[1]\n`).start();
    expect(directory.sink.ids).toEqual(["Service shop/a"]);
    expect([...directory.sink.bad]).toEqual([
      [
        "Service shop/bad",
        `${directory.path}/a.yaml#1: spec.ports[0].port must be a whole number from 0 to 65535, not "eighty"`,
      ],
    ]);
    expect(directory.warnings).toEqual([
      `${directory.path}/a.yaml#3 is no object of Kubernetes: kind must be text, not 5`,
      `${directory.path}/a.yaml#4 is no object of Kubernetes: must be an object, not a list`,
    ]);
  });

  it("tells of an entry that is left out", () => {
    const text = service("a").replace("spec:", "spec:\n  externalIPs: [here]");
    const directory = new Directory().write("a.yaml", text).start();
    expect(directory.warnings).toEqual([
      `Service shop/a (${directory.path}/a.yaml#1) has an entry that is left out: spec.externalIPs[0]: invalid IP address: "here"`,
    ]);
  });

  it("takes an object that stands in two files from the first, names both, and from the other when that goes", async () => {
    const directory = new Directory().write("b.yaml", service("web", "10.96.0.2")).start();
    const address = () => directory.sink.objects.get("Service shop/web");
    directory.write("a.yaml", `${service("web", "10.96.0.1")}---\n${service("one")}`);
    await vi.waitFor(() => expect(address()).toMatchObject({ clusterIPs: ["10.96.0.1"] }), 5000);
    directory.write("c.yaml", service("web", "10.96.0.3"));
    await vi.waitFor(() => expect(directory.warnings).toHaveLength(2), 5000);
    expect(directory.warnings).toEqual([
      "Service shop/web stands in a.yaml and in b.yaml: the first one counts, remove the other",
      "Service shop/web stands in a.yaml and in b.yaml and in c.yaml: the first one counts, remove the other",
    ]);
    directory.remove("a.yaml");
    await vi.waitFor(() => expect(address()).toMatchObject({ clusterIPs: ["10.96.0.2"] }), 5000);
    expect(directory.sink.ids).toEqual(["Service shop/web"]);
    directory.remove("b.yaml").remove("c.yaml");
    await directory.settles([]);
  });

  it("names an object that stands twice in one file", () => {
    const directory = new Directory()
      .write("a.yaml", `${service("web", "10.96.0.1")}---\n${service("web", "10.96.0.2")}`)
      .start();
    expect(directory.sink.objects.get("Service shop/web")).toMatchObject({ clusterIPs: ["10.96.0.1"] });
    expect(directory.warnings).toEqual([
      "Service shop/web stands in a.yaml and in a.yaml: the first one counts, remove the other",
    ]);
  });

  it("is not followed where it is to be read once", async () => {
    const once = new Directory({ once: true, rescan: 1 }).write("a.yaml", service("a")).start();
    const following = new Directory({ directory: once.path }).start();
    once.write("b.yaml", service("b"));
    await following.settles(["Service shop/a", "Service shop/b"]);
    expect(once.sink.ids).toEqual(["Service shop/a"]);
  });
});
