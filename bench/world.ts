/**
 * The host that a bench runs on, made inside the namespaces that main.ts started it in: a fresh /run, an address
 * store on the machine's own disk, and somebody beyond the host who knows no way to container networks.
 *
 * @module
 */
import { makeDirectory } from "../lib/sys/files.ts";
import { addNetns, type Netns, openNetns, openOwnNetns } from "../lib/sys/netns.ts";
import { run } from "../lib/sys/run.ts";

/** The host's address towards {@link BEYOND}. */
export const HOST = "192.0.2.1";
/** The machine beyond. */
export const BEYOND = "192.0.2.2";
/** Where both sides keep their addresses. */
export const STORE = "/var/lib/cni";

export interface World {
  readonly host: Netns;
  readonly beyond: Netns;
}

/** `disk` is an empty directory to put the address store on: fsync shall cost what it costs on this machine. */
export async function makeWorld(disk: string): Promise<World> {
  await ok("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run");
  for (const directory of ["upper", "work", "netns"]) makeDirectory(`/run/${directory}`);
  await ok(
    "mount",
    "-t",
    "overlay",
    "-o",
    "lowerdir=/var/lib,upperdir=/run/upper,workdir=/run/work",
    "none",
    "/var/lib",
  );
  makeDirectory(STORE);
  await ok("mount", "--bind", disk, STORE);
  await ok("ip", "link", "set", "lo", "up");
  const beyond = openNetns(await makeNetns("beyond"));
  await ok("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", "beyond");
  await ok("ip", "address", "add", `${HOST}/24`, "dev", "up0");
  await ok("ip", "link", "set", "up0", "up");
  await ok("ip", "-n", "beyond", "address", "add", `${BEYOND}/24`, "dev", "up1");
  await ok("ip", "-n", "beyond", "link", "set", "up1", "up");
  return { host: openOwnNetns(), beyond };
}

/** A named namespace with lo up; returns its path. */
export async function makeNetns(name: string): Promise<string> {
  const path = await addNetns(name);
  await ok("ip", "-n", name, "link", "set", "lo", "up");
  return path;
}

/** Runs a program that has to succeed and returns its standard output. */
export async function ok(program: string, ...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run(program, args);
  if (exitCode !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout;
}
