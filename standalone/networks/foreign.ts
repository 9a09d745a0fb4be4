/**
 * Things that tsnet did not start and that have a network namespace: a podman container, a systemd service, a
 * virtual machine's. They are known by a process or by the path of their namespace, and are never ended by us.
 *
 * @module
 */
import { resolve } from "node:path";
import { TsnetError } from "../../lib/errors.ts";
import { isOwnNetns, NETNS_DIR, openNetns } from "../../lib/sys/netns.ts";
import { bootId, identify, isAlive, nameOfProcess, type ProcessIdentity } from "../../lib/sys/process.ts";
import { isName } from "../file/names.ts";
import { COMMAND_PROJECT } from "../file/project.ts";
import { idOf } from "../plan/names.ts";
import type { ContainerRecord } from "../state/records.ts";

/** Who is to be connected: a process, or a namespace by its path or its name in `ip netns`. */
export type ForeignTarget = { readonly pid: number } | { readonly netns: string };

/** A network namespace of somebody else's. */
export interface Foreign {
  readonly netns: string;
  /** Tells the namespace from every other while it is there. */
  readonly inode: number;
  readonly process?: ProcessIdentity;
  /** What to call it unless somebody says otherwise. */
  readonly name: string;
}

/** @throws TsnetError `not-found`; `invalid-netns`; `invalid` if it is the host's own namespace. */
export function findForeign(target: ForeignTarget): Foreign {
  const found = "pid" in target ? byPid(target.pid) : byPath(target.netns);
  if (isOwnNetns(found.netns)) {
    const who = "pid" in target ? `process ${target.pid}` : found.netns;
    throw new TsnetError(`${who} is on the host's own network: there is nothing to connect`, {
      code: "invalid",
      op: "connect",
    });
  }
  const handle = openNetns(found.netns);
  handle.close();
  return { ...found, inode: handle.inode };
}

/** The record of something foreign that is on no network yet. @throws TsnetError `invalid` for a wrong name. */
export function foreignRecord({ netns, process, name }: Foreign): ContainerRecord {
  return {
    id: idOf(COMMAND_PROJECT, name),
    project: COMMAND_PROJECT,
    name,
    network: "foreign",
    netns,
    attachments: [],
    ports: [],
    start: { command: [], environment: {}, hostname: name, workdir: "/", mounts: [], privileged: false, shares: [] },
    fingerprint: "",
    phase: "running",
    bootId: bootId(),
    ...(process === undefined ? {} : { process }),
    startedAt: Date.now(),
  };
}

/** Whether a foreign owner, or the namespace where none is known, is still there. */
export function isThere({ netns, process }: ContainerRecord): boolean {
  if (process !== undefined) return isAlive(process);
  try {
    openNetns(netns).close();
    return true;
  } catch {
    return false;
  }
}

/** Whether the record's namespace is the one of that inode. */
export function isIn({ netns }: ContainerRecord, inode: number): boolean {
  if (netns === "") return false;
  try {
    const handle = openNetns(netns);
    handle.close();
    return handle.inode === inode;
  } catch {
    return false;
  }
}

function byPid(pid: number): Omit<Foreign, "inode"> {
  const process = identify(pid);
  if (process === undefined)
    throw new TsnetError(`no process ${pid} runs on this host`, { code: "not-found", op: "connect" });
  return { netns: `/proc/${pid}/ns/net`, process, name: nameFrom(`${nameOfProcess(pid)}-${pid}`) };
}

function byPath(text: string): Omit<Foreign, "inode"> {
  const netns = text.includes("/") ? resolve(text) : `${NETNS_DIR}/${text}`;
  return { netns, name: nameFrom(netns.slice(netns.lastIndexOf("/") + 1)) };
}

function nameFrom(text: string): string {
  const name = text
    .replace(/[^a-zA-Z0-9_-]+/g, "-")
    .replace(/^[-_]+/, "")
    .slice(0, 41);
  return isName(name) ? name : "foreign";
}
