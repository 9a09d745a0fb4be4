/**
 * Whether a command's program is there, for those who typed it a moment ago: before anything is made, and in words
 * that fit people who come from engines with images.
 *
 * @module
 */
import { isAbsolute } from "node:path";
import { resolveInside } from "../../lib/sys/rooted.ts";
import type { StartRecord } from "../state/records.ts";
import { environmentOf } from "./chain.ts";
import { StartError } from "./launch.ts";
import { userOf } from "./prepare.ts";

// As a shell has it.
const NOT_THERE = 127;

// What a container has of its own there is not the root's.
const ITS_OWN = /^\/(?:dev|proc|run|sys)(?:\/|$)/;

/** @throws StartError if the folder that a command is to start in is not in the root. */
export function checkWorkdir(name: string, workdir: string, root: string): void {
  if (resolveInside(root, workdir).kind === "directory") return;
  throw new StartError(`container ${name}: there is no folder ${workdir} in it to start in: choose another --workdir`);
}

/** @throws StartError. What is mounted may bring the program, so where something is nothing is said. */
export function checkProgram(name: string, start: StartRecord): void {
  const { command, mounts, rootfs, workdir } = start;
  const [program = ""] = command;
  if (mounts.length > 0) return;
  if (!ITS_OWN.test(workdir)) checkWorkdir(name, workdir, rootfs ?? "/");
  const path = environmentOf(start, userOf(start)).PATH ?? "";
  const folders = program.includes("/") ? [""] : path.split(":").map((folder) => `${folder}/`);
  const there = folders.some((folder) => {
    const full = `${folder}${program}`;
    return resolveInside(rootfs ?? "/", isAbsolute(full) ? full : `${workdir}/${full}`).kind !== "missing";
  });
  if (there) return;
  const where = program.includes("/") ? "" : ` in ${path}`;
  const root = rootfs === undefined ? "the host's root; --rootfs names another" : `the root ${rootfs}`;
  throw new StartError(
    `container ${name}: there is no program ${program}${where} of ${root}. There are no images: name a command`,
    NOT_THERE,
  );
}
