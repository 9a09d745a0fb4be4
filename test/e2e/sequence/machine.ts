/**
 * The real thing beside the model: a throwaway host on which the plugins are called as a runtime calls them, and what
 * kernel and disk then hold.
 *
 * @module
 */
import { type CniOutput, Host, PLUGINS } from "../host.ts";
import { elementsOf, rulesOf } from "./filters.ts";
import { CONTAINERS, type Key, networkOf, type Scene } from "./model.ts";
import { VERSION } from "./networks.ts";

/** A call in the middle of which something happens, at one of its system calls. */
export interface Injection {
  /** Which plugin of the list, wrapped around. */
  readonly plugin: number;
  readonly call: string;
  /** Of the plugin's own process, not of the programs that it starts. */
  readonly alone?: boolean;
  /** What happens, in strace's words: `signal=SIGKILL`, `error=ENOSPC`; and at the how manieth call of each thread. */
  readonly inject?: { readonly effect: string; readonly nth: number };
  /** The most that a thread makes of it, once it was seen. */
  calls?: number;
}

type Conf = Readonly<Record<string, unknown>>;
type Call = (type: string, conf: Conf) => Promise<CniOutput>;

export class Machine {
  readonly host: Host;
  /** What each attachment's ADD gave: a runtime keeps it. */
  readonly #results = new Map<string, unknown>();

  private constructor(host: Host) {
    this.host = host;
  }

  static async create(): Promise<Machine> {
    const host = await Host.create();
    for (const name of CONTAINERS) await host.addNetns(name);
    return new Machine(host);
  }

  snapshot(): Promise<string> {
    return this.host.snapshot();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.destroy();
  }

  /** The addresses that the attachment has then. @throws Error with what the plugin said. */
  async add(key: Key, port: number | undefined, injection?: Injection): Promise<readonly string[]> {
    let prevResult: unknown;
    for (const [index, conf] of this.#configs(key, port).entries()) {
      const out = await this.#call("ADD", key, injection, index)(conf.type, { ...conf, prevResult });
      if (out.exitCode !== 0) throw new Error(`ADD ${conf.type}: ${out.stdout}${out.stderr}`);
      prevResult = out.json;
    }
    this.#results.set(idOf(key), prevResult);
    return addressesIn(prevResult);
  }

  /** What the attachment's ADD gave. */
  addressesOf(key: Key): readonly string[] {
    return addressesIn(this.#results.get(idOf(key)));
  }

  /** @throws Error if it fails, or was killed. */
  async del(key: Key, port: number | undefined, injection?: Injection): Promise<void> {
    await this.#backwards("DEL", key, port, injection);
    this.#results.delete(idOf(key));
  }

  /** Whether CHECK is content. */
  async check(key: Key, port: number | undefined): Promise<boolean> {
    try {
      await this.#backwards("CHECK", key, port);
      return true;
    } catch {
      return false;
    }
  }

  /** @throws Error if it fails. */
  async gc(network: string, keep: readonly Key[]): Promise<void> {
    const valid = keep.map(({ container, ifname }) => ({ containerID: container, ifname }));
    for (const conf of this.#configs({ network, container: "", ifname: "" }, undefined)) {
      const out = await this.host.cni("GC", conf.type, { ...conf, "cni.dev/valid-attachments": valid });
      if (out.exitCode !== 0) throw new Error(`GC ${conf.type}: ${out.stdout}${out.stderr}`);
    }
    const kept = new Set(keep.map(idOf));
    for (const id of this.#results.keys()) if (id.startsWith(`${network} `) && !kept.has(id)) this.#results.delete(id);
  }

  /** The container ends without a DEL, and another comes under its name. */
  async restart(container: string): Promise<void> {
    await this.host.ok(["ip", "netns", "del", container]);
    await this.host.addNetns(container);
  }

  /** What is there, in the model's words. */
  async scene(): Promise<Scene> {
    const text = await this.host.sh(LOOK);
    const parts = new Map(text.split(/^# (?=[a-z]+$)/m).map((one) => [one.slice(0, one.indexOf("\n")), one]));
    const part = (name: string) => (parts.get(name) ?? "").slice(name.length).trim();
    const lines = (name: string) =>
      part(name)
        .split("\n")
        .filter((line) => line !== "");
    const nft = elementsOf(part("nft"));
    const iptables = rulesOf(lines("iptables"));
    return {
      links: lines("links")
        .map((line) => line.replace(/^.*alias tsnet /, ""))
        .sort(),
      inside: lines("inside").sort(),
      held: lines("held")
        .map((line) => line.replace(/^\/var\/lib\/cni\/networks\/([^/]+)\//, "$1 ").trim())
        .sort(),
      masqueraded: [...nft.masqueraded, ...iptables.masqueraded].sort(),
      published: [...nft.published, ...iptables.published].sort(),
      recorded: lines("recorded").map(recordOf).sort(),
    };
  }

  async #backwards(verb: "DEL" | "CHECK", key: Key, port: number | undefined, injection?: Injection): Promise<void> {
    const prevResult = this.#results.get(idOf(key));
    for (const [index, conf] of [...this.#configs(key, port).entries()].reverse()) {
      const out = await this.#call(verb, key, injection, index)(conf.type, { ...conf, prevResult });
      if (out.exitCode !== 0) throw new Error(`${verb} ${conf.type}: ${out.stdout}${out.stderr}`);
    }
  }

  #configs(key: Key, port: number | undefined): readonly (Conf & { readonly type: string })[] {
    const { name, plugins } = networkOf(key);
    const portMappings = port === undefined ? [] : [{ hostPort: port, containerPort: 80, protocol: "tcp" }];
    return plugins.map((plugin) => ({
      ...plugin,
      type: String(plugin.type),
      name,
      cniVersion: VERSION,
      ...("capabilities" in plugin ? { runtimeConfig: { portMappings } } : {}),
    }));
  }

  #call(verb: string, { container, network, ifname }: Key, injection: Injection | undefined, index: number): Call {
    const options = { id: container, ifname, netns: `/run/netns/${container}` };
    if (
      injection === undefined ||
      injection.plugin % networkOf({ network, container, ifname }).plugins.length !== index
    ) {
      return (type, conf) => this.host.cni(verb, type, conf, options);
    }
    return async (type, conf) => {
      const { call, alone, inject } = injection;
      const log = "/run/trace";
      const how = inject === undefined ? [] : ["-e", `inject=${call}:${inject.effect}:when=${inject.nth}`];
      const strace = ["strace", ...(alone === true ? [] : ["-f"]), "-qq", "-o", log, "-e", `trace=${call}`, ...how];
      const out = await this.host.run([...strace, `${PLUGINS}/${type}`], {
        stdin: JSON.stringify(conf),
        env: {
          CNI_COMMAND: verb,
          CNI_CONTAINERID: container,
          CNI_NETNS: options.netns,
          CNI_IFNAME: ifname,
          CNI_PATH: PLUGINS,
        },
      });
      injection.calls = mostOfOne((await this.host.run(["cat", log])).stdout);
      return { ...out, json: out.exitCode === 0 && out.stdout.trim() !== "" ? JSON.parse(out.stdout) : undefined };
    };
  }
}

// One shell for all of it: a sequence is looked at after each step.
const LOOK = `
echo "# links"; ip -o link | grep -o 'alias tsnet .*' || true
echo "# inside"; for c in ${CONTAINERS.join(" ")}; do
  ip -n $c -o addr | awk -v c=$c '$2 != "lo" && $4 !~ /^fe80/ { sub(/@.*/, "", $2); print c, $2, $4 }'
done
echo "# held"; for f in $(find /var/lib/cni/networks -type f -name '*[.:]*' ! -name 'last_*' 2>/dev/null); do
  echo "$f $(tr '\\r\\n' '  ' < $f)" | sed 's/  */ /g'
done
echo "# recorded"; cat $(find /run/tsnet/firewall -name '*.json' 2>/dev/null) /dev/null
echo "# iptables"; iptables-nft-save -t nat 2>/dev/null | grep '^-A TSNET' || true
echo "# nft"; nft -j list table inet tsnet 2>/dev/null || true
`;

/** Of strace's lines, each beginning with a thread's number if there are several: the most of one thread. */
function mostOfOne(log: string): number {
  const counts = new Map<string, number>();
  for (const line of log.split("\n").filter((one) => one.includes("("))) {
    const thread = /^(\d+) /.exec(line)?.[1] ?? "";
    counts.set(thread, (counts.get(thread) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values());
}

function recordOf(line: string): string {
  const { attachment, part } = JSON.parse(line) as {
    readonly attachment: { readonly network: string; readonly containerId: string; readonly ifname: string };
    readonly part: string;
  };
  return `${attachment.network} ${attachment.containerId} ${attachment.ifname} ${part}`;
}

function addressesIn(result: unknown): readonly string[] {
  return (result as { readonly ips: readonly { readonly address: string }[] }).ips.map(({ address }) => address);
}

function idOf({ network, container, ifname }: Key): string {
  return `${network} ${container} ${ifname}`;
}
