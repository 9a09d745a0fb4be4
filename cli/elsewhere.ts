/**
 * Docker's and podman's commands that tsnet does not have, and what to type in their place.
 *
 * @module
 */
import { usageError } from "./output.ts";

const NO_IMAGES = "there are no images: tsnet run COMMAND starts one on the host's root, or on that of --rootfs";
const NO_VOLUMES = "there are no volumes: name the host's paths, with -v or under mounts";

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
  volume: NO_VOLUMES,
  info: "tsnet version, tsnet ps -a and tsnet network ls",
  list: "tsnet ps",
  ls: "tsnet ps",
};

/** @throws TsnetError `usage` if `command` is one of Docker's that tsnet does not have. */
export function refuseElsewhere(command: string | undefined): void {
  if (command === undefined || !Object.hasOwn(COMMANDS, command)) return;
  throw usageError(`unknown command '${command}'`, COMMANDS[command] ?? "");
}
