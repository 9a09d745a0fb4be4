/**
 * The options of `tsnet run` as the keys that a file has: Docker's and podman's words, and what to type in place of
 * those that tsnet does not have.
 *
 * @module
 */
import { type ContainerSpec, DEFAULT_NETWORK } from "../standalone/file/project.ts";
import { readWords } from "../standalone/file/words.ts";
import { usageError } from "./output.ts";

/** What was typed. */
export interface RunWords {
  readonly name?: string;
  readonly network?: readonly string[];
  readonly net?: readonly string[];
  readonly networkAlias?: readonly string[];
  readonly ip?: string;
  readonly ip6?: string;
  readonly macAddress?: string;
  readonly publish?: readonly string[];
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly addHost?: readonly string[];
  readonly env?: readonly string[];
  readonly volume?: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly hostname?: string;
  readonly rootfs?: string;
  readonly privileged?: boolean;
}

const NO_IMAGES = "there are no images: name a command, and with --rootfs the folder that is its root";
const NO_LIMITS = "tsnet sets no limits: its control group is below /sys/fs/cgroup/tsnet";
const CAPABILITIES = "a container has Docker's default capabilities: --privileged gives all";

/** Options of Docker's that people type, and what to type here. */
export const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ["--restart [policy]", "tsnet is no process supervisor: run it in a systemd unit with Restart="],
  ["--link [name]", "containers find those of their networks by name: --network-alias gives more names"],
  ["-P, --publish-all", "there is no image that names ports: name them with -p"],
  ["--expose [port]", "leave it out: containers of a network reach all ports of each other"],
  ["--entrypoint [command]", NO_IMAGES],
  ["--pull [policy]", NO_IMAGES],
  ["--platform [name]", NO_IMAGES],
  ["--mount [mount]", "write -v HOST-PATH:PATH[:ro]"],
  ["--volumes-from [name]", "name each with -v HOST-PATH:PATH"],
  ["--env-file [path]", "write -e NAME=VALUE, or environment: in a tsnet.yaml"],
  ["-m, --memory [bytes]", NO_LIMITS],
  ["--cpus [number]", NO_LIMITS],
  ["--cap-add [name]", CAPABILITIES],
  ["--cap-drop [name]", CAPABILITIES],
  ["--security-opt [option]", CAPABILITIES],
  ["--log-driver [name]", "tsnet logs has what it wrote"],
  ["--cidfile [path]", "with -d its name is printed"],
]);

/** What makes the container, once its name is known. @throws TsnetError `usage` for what tsnet does not have. */
export function specFrom(command: readonly string[], words: RunWords, folder: string): (name: string) => ContainerSpec {
  refuseElsewhere(words);
  const keys = keysOf(command, words);
  return (name) => readWords({ name, keys, folder, optionOf: (key) => OPTIONS[key] ?? key });
}

/** The option that each key is made of. */
const OPTIONS: Readonly<Record<string, string>> = {
  name: "--name",
  network: "--network",
  networks: "--network",
  address: "--ip",
  mac: "--mac-address",
  aliases: "--network-alias",
  ports: "--publish",
  dns: "--dns",
  dns_search: "--dns-search",
  extra_hosts: "--add-host",
  environment: "--env",
  mounts: "--volume",
  workdir: "--workdir",
  user: "--user",
  hostname: "--hostname",
  rootfs: "--rootfs",
};

function refuseElsewhere(words: RunWords): void {
  const given = new Set(Object.keys(words));
  for (const [flags, way] of ELSEWHERE) {
    const [, option = ""] = /(--\S+)/.exec(flags) ?? [];
    if (given.has(camel(option))) throw usageError(`${option} is not for tsnet run`, way);
  }
}

function camel(option: string): string {
  return option.replace(/^--/, "").replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function keysOf(command: readonly string[], words: RunWords): Readonly<Record<string, unknown>> {
  const { publish, dns, dnsSearch, addHost, env, volume, workdir, user, hostname, rootfs, privileged } = words;
  const given = {
    ...networkKeys(words),
    ports: publish,
    dns,
    dns_search: dnsSearch,
    extra_hosts: addHost,
    environment: env?.flatMap(variable),
    mounts: volume?.map(mount),
    workdir,
    user,
    hostname,
    rootfs,
    privileged,
    command,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** Without a value it has the one that it has here; none if it has none. */
function variable(text: string): readonly string[] {
  if (text.includes("=")) return [text];
  const value = process.env[text];
  return value === undefined ? [] : [`${text}=${value}`];
}

function mount(text: string): string {
  const [source = ""] = text.split(":");
  if (!text.includes(":"))
    throw usageError(`--volume ${text} names no host path`, `there are no volumes: write HOST-PATH:${text}`);
  if (!/^[./~]/.test(source))
    throw usageError(`--volume ${text}: there are no volumes`, `write ./${source} for a folder here, or a whole path`);
  // Other letters are about labels and propagation, which are not for us.
  return text.replace(/:(?:z|Z|rw,z|rw,Z)$/, "").replace(/:ro,[zZ]$/, ":ro");
}

function networkKeys(words: RunWords): Readonly<Record<string, unknown>> {
  const { ip, ip6, macAddress, networkAlias = [] } = words;
  const asked = [...(words.network ?? []), ...(words.net ?? [])];
  const [mode] = asked;
  if (mode !== undefined && /^(host|none|container:.*)$/.test(mode)) {
    if (asked.length > 1) throw usageError(`--network ${mode} is the only one that can be`, "leave out the others");
    return { network: mode };
  }
  const joins = (asked.length === 0 ? [DEFAULT_NETWORK] : asked).flatMap(parseNetwork);
  const networks = joins.map(([name, join], at) => {
    const first = at === 0 ? { ips: [...(ip === undefined ? [] : [ip]), ...(ip6 === undefined ? [] : [ip6])] } : {};
    const addresses = [...join.ips, ...(first.ips ?? [])];
    const mac = join.mac ?? (at === 0 ? macAddress : undefined);
    const aliases = [...join.aliases, ...networkAlias];
    const keys = {
      ...(addresses.length === 0 ? {} : { address: addresses }),
      ...(mac === undefined ? {} : { mac }),
      ...(aliases.length === 0 ? {} : { aliases }),
    };
    return [name, keys] as const;
  });
  return { networks: Object.fromEntries(networks) };
}

interface JoinWords {
  readonly ips: readonly string[];
  readonly mac: string | undefined;
  readonly aliases: readonly string[];
}

/** podman's `NAME:ip=...,alias=...` and `NAME,NAME`, and Docker's `name=NAME,ip=...`. */
function parseNetwork(text: string): readonly (readonly [string, JoinWords])[] {
  const [, name = "", rest] = /^([^:=,]+)(?::(.*))?$/s.exec(text) ?? [];
  if (name !== "" && rest === undefined) return [[nameOf(name), { ips: [], mac: undefined, aliases: [] }]];
  if (name === "" && !text.includes("=")) return text.split(",").flatMap(parseNetwork);
  const pairs = (rest ?? text).split(",").map((pair) => /^([a-z0-9-]+)=(.+)$/.exec(pair)?.slice(1) ?? [pair, ""]);
  const of = (...keys: readonly string[]) =>
    pairs.flatMap(([key = "", value = ""]) => (keys.includes(key) && value !== "" ? [value] : []));
  const wrong = pairs.find(([key = "", value]) => value === "" || !JOIN_KEYS.includes(key));
  const [given = name] = of("name");
  if (wrong !== undefined || given === "")
    throw usageError(`--network ${text} cannot be read`, "write NAME, or NAME:ip=ADDRESS,mac=MAC,alias=NAME");
  return [[nameOf(given), { ips: of("ip", "ip6"), mac: of("mac", "mac-address")[0], aliases: of("alias") }]];
}

const JOIN_KEYS = ["name", "ip", "ip6", "mac", "mac-address", "alias"];

/** What Docker calls its default network, people type. */
function nameOf(name: string): string {
  return name === "bridge" ? DEFAULT_NETWORK : name;
}
