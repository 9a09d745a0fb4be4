/**
 * Keys that people write from habit, as a compose file has them, and what to write here. They are read as what they
 * stand for where that is one of ours, so that one wrong word is one mistake.
 *
 * @module
 */

/** What another's key is here. */
interface Elsewhere {
  /** Our key of the same meaning. */
  readonly key?: string;
  readonly say: string;
  /** What is said where that key of ours cannot stand. */
  readonly otherwise?: string;
}

const NO_IMAGES = "there are no images: name a command, and with rootfs the folder that is its root";
const NO_SUPERVISOR = "tsnet is no process supervisor: run it in a systemd unit with Restart=";
const NO_LIMITS = "tsnet sets no limits: its control group is below /sys/fs/cgroup/tsnet";
const CAPABILITIES = "a container has Docker's default capabilities: privileged: true gives all";

const NO_TERMINAL = "leave it out: tsnet exec and tsnet run have a terminal and standard input, where you have them";
const NO_SECRETS = "mount the file: mounts, with HOST-PATH:PATH:ro";

const KEYS: Readonly<Record<string, Elsewhere>> = {
  version: { say: "leave it out" },
  services: { key: "containers", say: "write containers" },
  image: { say: NO_IMAGES },
  build: { say: NO_IMAGES },
  entrypoint: { say: NO_IMAGES },
  pull_policy: { say: NO_IMAGES },
  volumes: {
    key: "mounts",
    say: "write mounts, with HOST-PATH:PATH[:ro] each",
    otherwise: "leave it out: there are no volumes, and mounts name the host's paths",
  },
  name: { say: "it is called as its key is" },
  network_mode: { key: "network", say: "write network" },
  working_dir: { key: "workdir", say: "write workdir" },
  env_file: { say: "write the variables under environment" },
  container_name: { say: "a container is called as its key is" },
  restart: { say: NO_SUPERVISOR },
  healthcheck: { say: NO_SUPERVISOR },
  depends_on: { say: "leave it out: all are started at once, and find each other by name" },
  links: { say: "leave it out: containers of a network find each other by name" },
  expose: { say: "leave it out: containers of a network reach all ports of each other" },
  cap_add: { say: CAPABILITIES },
  cap_drop: { say: CAPABILITIES },
  security_opt: { say: CAPABILITIES },
  mem_limit: { say: NO_LIMITS },
  cpus: { say: NO_LIMITS },
  deploy: { say: NO_LIMITS },
  tty: { say: NO_TERMINAL },
  stdin_open: { say: NO_TERMINAL },
  secrets: { say: NO_SECRETS },
  configs: { say: NO_SECRETS },
  logging: { say: "leave it out: tsnet logs has what it wrote" },
  init: { say: "leave it out, or have the command begin with an init of yours, such as tini" },
  devices: { say: "leave it out: on the host's root it sees the host's /dev" },
  sysctls: { say: "set them from the host while it runs: ip netns exec PROJECT.NAME sysctl -w KEY=VALUE" },
  stop_grace_period: { say: "say it when you stop it: tsnet stop -t SECONDS, or tsnet down -t SECONDS" },
  scale: { say: "write each container under a name of its own, with an alias that they share" },
  driver_opts: { say: "write mtu, bridge and masquerade themselves, or options" },
  attachable: { say: "leave it out: every container may be on it" },
  ipv4_address: { key: "address", say: "write address" },
  ipv6_address: { key: "address", say: "write address, with a list of both where there are two" },
  mac_address: { key: "mac", say: "write mac" },
  enable_ipv6: { key: "ipv6", say: "write ipv6: true" },
  ipam: { say: "write subnet, ip_range and gateway themselves" },
};

/** What is said of a key that a compose file has, and which of ours (of `known`) it stands for. */
export function composeKey(name: string, known: readonly string[]): Elsewhere | undefined {
  const found = Object.hasOwn(KEYS, name) ? KEYS[name] : undefined;
  if (found?.key === undefined || known.includes(found.key)) return found;
  return found.otherwise === undefined ? undefined : { say: found.otherwise };
}
