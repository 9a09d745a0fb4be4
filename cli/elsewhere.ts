/**
 * Docker's and podman's commands, and options of commands, that tsnet does not have, and what to type in their place.
 *
 * @module
 */
import { usageError } from "./output.ts";

const NO_IMAGES = "there are no images: tsnet run COMMAND starts one on the host's root, or on that of --rootfs";
const NO_VOLUMES = "there are no volumes: name the host's paths, with -v or under mounts";
const NO_VOLUMES_HERE = "leave it out: there are no volumes";
const NO_LIMITS = "tsnet sets no limits: its control group is below /sys/fs/cgroup/tsnet";
const NO_SUPERVISOR = "tsnet is no process supervisor: run it in a systemd unit with Restart=";
const NO_TIMES = "no times are kept: have the command write them";
const NOTHING_LEFT = "leave it out: what is not of the file goes anyway";
const JSON_WAY = "write -o json, and pick from that with jq";

const COMMANDS: Readonly<Record<string, string>> = {
  compose: "leave it out: tsnet up and tsnet down work on a tsnet.yaml",
  container: "leave it out: tsnet ps, tsnet rm and so on",
  start: "tsnet up starts what a file says, tsnet run one container",
  restart: "tsnet stop NAME and then tsnet up for one of a file; restarts are a systemd unit's business",
  create: "tsnet run -d makes a container and starts it; tsnet network create makes a network",
  kill: "tsnet stop -t 0 NAME",
  pause: "a container runs or is stopped: tsnet stop NAME",
  wait: "tsnet run in the foreground returns when its command ends; tsnet ps shows how others ended",
  attach: "tsnet logs -f NAME shows what it writes, tsnet exec NAME sh is a shell in it",
  port: "tsnet ps shows the ports that are published",
  top: "tsnet exec NAME ps",
  stats: "systemd-cgtop shows what its control group uses",
  cp: "a container's files are the host's, or below its rootfs: cp",
  rename: "its name is its key in the file, or what --name says",
  update: "edit the file and type tsnet up",
  images: NO_IMAGES,
  image: NO_IMAGES,
  pull: NO_IMAGES,
  push: NO_IMAGES,
  build: NO_IMAGES,
  login: NO_IMAGES,
  search: NO_IMAGES,
  commit: NO_IMAGES,
  history: NO_IMAGES,
  config: "tsnet up --dry-run reads the file and shows what there is to do",
  system:
    "tsnet network prune removes networks that nobody is on, tsnet rm containers; tsnet version and tsnet ps -a tell",
  volume: NO_VOLUMES,
  info: "tsnet version, tsnet ps -a and tsnet network ls",
  list: "tsnet ps",
  ls: "tsnet ps",
};

const OPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "tsnet run": {
    "-l": "containers have no labels: choose a --name that says it",
    "--label": "containers have no labels: choose a --name that says it",
    "--init": "the command is the first process: name an init of yours before it, such as tini",
    "--device": "leave it out: on the host's root it sees the host's /dev",
    "--gpus": "leave it out: on the host's root it sees the host's /dev",
    "--pid": "write pid: host in a tsnet.yaml",
    "--ipc": "write ipc: host in a tsnet.yaml",
    "--uts": "write uts: host in a tsnet.yaml",
    "--read-only": "only mounts can be: -v PATH:PATH:ro",
    "--tmpfs": "/run is one anyway; -v HOST-PATH:PATH mounts a folder of the host",
    "--sysctl": "set it from the host while it runs: ip netns exec local.NAME sysctl -w KEY=VALUE",
    "--ulimit": "it has the hard limits of the shell that you type this in: ulimit -H",
    "--memory-swap": NO_LIMITS,
    "--cpu-shares": NO_LIMITS,
    "--cpuset-cpus": NO_LIMITS,
    "--pids-limit": NO_LIMITS,
    "--health-cmd": NO_SUPERVISOR,
    "--stop-timeout": "say it when you stop it: tsnet stop -t SECONDS",
    "--stop-signal": "it is TERM, and KILL after that",
    "--log-opt": "tsnet logs has what it wrote",
  },
  "tsnet exec": {
    "-d": "put an & behind the line",
    "--detach": "put an & behind the line",
    "--privileged": "it has the container's rights: tsnet run --privileged gives all",
    "--env-file": "write -e NAME=VALUE",
  },
  "tsnet logs": { "-t": NO_TIMES, "--timestamps": NO_TIMES, "--since": NO_TIMES, "--until": NO_TIMES },
  "tsnet ps": {
    "--filter": JSON_WAY,
    "--format": JSON_WAY,
    "-n": "tsnet ps -a shows all",
    "-l": "tsnet ps -a shows all",
    "--no-trunc": "leave it out: nothing is cut off",
  },
  "tsnet inspect": { "-f": JSON_WAY, "--format": JSON_WAY },
  "tsnet network inspect": { "-f": JSON_WAY, "--format": JSON_WAY },
  "tsnet network ls": { "--format": JSON_WAY, "--no-trunc": "leave it out: nothing is cut off" },
  "tsnet network create": {
    "--attachable": "leave it out: every container may be on it",
    "--scope": "leave it out: it is of this host",
    "--aux-address": "narrow what addresses are taken from by --ip-range",
  },
  "tsnet rm": { "-v": NO_VOLUMES_HERE, "--volumes": NO_VOLUMES_HERE },
  "tsnet stop": {
    "-s": "it is TERM, and KILL when the time (-t) is over",
    "--signal": "it is TERM, and KILL when the time (-t) is over",
  },
  "tsnet up": {
    "--build": NO_IMAGES,
    "--pull": NO_IMAGES,
    "--force-recreate": "tsnet rm -f NAME first makes a container anew",
    "--remove-orphans": NOTHING_LEFT,
    "--scale": "write each container under a name of its own, with an alias that they share",
    "--wait": "leave it out: it returns when all of them run",
  },
  "tsnet down": {
    "-v": NO_VOLUMES_HERE,
    "--volumes": NO_VOLUMES_HERE,
    "--rmi": NO_IMAGES,
    "--remove-orphans": NOTHING_LEFT,
  },
};

/** What to type in place of an option of Docker's, if it is one: `command` is `tsnet network create` or the like. */
export function optionElsewhere(command: string, option: string): string | undefined {
  const ways = Object.hasOwn(OPTIONS, command) ? OPTIONS[command] : undefined;
  return ways !== undefined && Object.hasOwn(ways, option) ? ways[option] : undefined;
}

/** @throws TsnetError `usage` if `command` is one of Docker's that tsnet does not have. */
export function refuseElsewhere(command: string | undefined): void {
  if (command === undefined || !Object.hasOwn(COMMANDS, command)) return;
  throw usageError(`unknown command '${command}'`, COMMANDS[command] ?? "");
}
