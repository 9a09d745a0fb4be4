/**
 * Standalone containers on a throwaway host: a project's file and the `tsnet` command on it.
 *
 * @module
 */
import { type Host, type Output, TSNET } from "./host.ts";

/** A row of `tsnet ps -o json`. */
export interface Shown {
  readonly project: string;
  readonly name: string;
  readonly status: string;
  readonly pid?: number;
  readonly network: string;
  readonly interfaces: readonly {
    readonly name: string;
    readonly network: string;
    readonly addresses: readonly string[];
    readonly mac?: string;
  }[];
  readonly ports: readonly string[];
  readonly warnings: readonly string[];
}

/** A tsnet.yaml in a folder of its own on a host. */
export class Project {
  readonly #host: Host;
  readonly folder: string;

  private constructor(host: Host, folder: string) {
    this.#host = host;
    this.folder = folder;
  }

  static async create(host: Host, name: string, yaml: string): Promise<Project> {
    // Not below /run, which containers do not see.
    const folder = `/opt/projects/${name}`;
    await host.ok(["mkdir", "-p", folder]);
    const project = new Project(host, folder);
    await project.write(yaml);
    return project;
  }

  write(yaml: string): Promise<string> {
    return this.#host.ok(["tee", `${this.folder}/tsnet.yaml`], { stdin: yaml });
  }

  up(): Promise<Output> {
    return this.#host.run([TSNET, "up", "-f", `${this.folder}/tsnet.yaml`]);
  }

  /** `tsnet up`, which has to end well. */
  async raise(): Promise<string> {
    return this.#host.ok([TSNET, "up", "-f", `${this.folder}/tsnet.yaml`]);
  }

  down(...args: readonly string[]): Promise<string> {
    return this.#host.ok([TSNET, "down", "-f", `${this.folder}/tsnet.yaml`, ...args]);
  }

  async ps(): Promise<readonly Shown[]> {
    return JSON.parse(
      await this.#host.ok([TSNET, "ps", "-f", `${this.folder}/tsnet.yaml`, "-o", "json"]),
    ) as readonly Shown[];
  }
}

/** Runs a command in a container; its standard output. */
export function inside(host: Host, container: string, ...argv: readonly string[]): Promise<string> {
  return host.ok([TSNET, "exec", container, ...argv]);
}

/** Runs a command in a container that may fail. */
export function tryInside(host: Host, container: string, ...argv: readonly string[]): Promise<Output> {
  return host.run([TSNET, "exec", container, ...argv]);
}

/** A root folder that has busybox and nothing else. */
export async function makeRootfs(host: Host, path: string): Promise<string> {
  await host.sh(`
    mkdir -p ${path}/bin
    cp "$(command -v busybox)" ${path}/bin/busybox
    for applet in sh ls cat sleep mount id; do ln -s busybox ${path}/bin/$applet; done
  `);
  return path;
}

/** Tries until `look` is true. */
export async function eventually(look: () => Promise<boolean>, what: string, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`);
    await Bun.sleep(20);
  }
}

/** Runs `command` in a terminal, types `keys` when `prompt` has been seen, and returns all that was shown. */
export async function inTerminal(host: Host, command: string, prompt: string, keys: string): Promise<string> {
  let shown = "";
  let typed = false;
  const child = Bun.spawn(host.enter(["setsid", "--ctty", "--wait", "sh", "-c", command]), {
    terminal: {
      cols: 80,
      rows: 24,
      data(terminal, data) {
        shown += new TextDecoder().decode(data);
        if (typed || !shown.includes(`${prompt}\r\n`)) return;
        typed = true;
        terminal.write(keys);
      },
    },
  });
  await child.exited;
  child.terminal?.close();
  return shown;
}
