/**
 * Attach: from wishes to rules.
 *
 * Everything that can be refused is refused before the first change. The state is written before the kernel is
 * changed, so that a call that dies half-way leaves nothing that DEL or GC would not find.
 *
 * @module
 */
import { isTsnetError, joinErrors, TsnetError } from "../errors.ts";
import type { FileLock } from "../sys/files.ts";
import type { Drop } from "./engine.ts";
import { forgetPorts, forgetUnpublished } from "./flows.ts";
import { type FirewallHost, isSurprise } from "./host.ts";
import { planEntries, withElsewhere } from "./plan.ts";
import { refuseHeld, refuseListeners } from "./ports.ts";
import {
  type Entry,
  type EntryName,
  entryFile,
  type HeldPort,
  isOfOneAddress,
  type KeeperName,
  tagOf,
} from "./record.ts";
import { preparePaths } from "./sysctls.ts";
import type { Attachment, PublishWish, Wishes } from "./types.ts";

/** Makes the wishes true. */
export async function attach(host: FirewallHost, attachment: Attachment, asked: Wishes): Promise<void> {
  const engine = host.opened(host.chosen) ?? (await host.engine(host.chosen));
  const wishes = withElsewhere(host, attachment, asked);
  const entries = planEntries(engine, attachment, wishes);
  if (wishes.accept !== undefined) {
    const { planAccept } = await import("./accept.ts");
    entries.push(...(await planAccept(host, attachment, wishes.accept)));
  }
  if (wishes.forward !== undefined) {
    const { planForward } = await import("./forward.ts");
    entries.push(...(await planForward(host, engine, attachment, wishes.forward)));
  }
  const ports = entries.flatMap((entry) => entry.ports);
  refuseListeners(ports);
  const lock = host.state.tryLock() ?? (await host.state.lock());
  let previous: readonly Entry[];
  try {
    previous = await change(host, { attachment, wishes, entries }, lock);
  } finally {
    lock.release();
  }
  const gone = previous.flatMap(({ addresses, ports: had }) =>
    had.filter((port) => !ports.some((one) => isSamePort(one, port))).map((port) => ({ port, addresses })),
  );
  await forgetUnpublished(gone, host.tools.conntrack);
  await forgetPorts(ports, host.tools.conntrack);
}

interface Change {
  readonly attachment: Attachment;
  readonly wishes: Wishes;
  readonly entries: readonly Entry[];
}

/** Returns what the attachment had before. */
async function change(
  host: FirewallHost,
  { attachment, wishes, entries }: Change,
  lock: FileLock,
): Promise<readonly Entry[]> {
  const { state } = host;
  const tag = tagOf(attachment);
  const names = state.namesAlone();
  const own = names.filter((name) => name.tag === tag && wishes[name.part] !== undefined);
  const ports = entries.flatMap((entry) => entry.ports);
  if (ports.length > 0) refuseHeld(ports, state.read(names.filter((name) => name.tag !== tag && mayHold(name, ports))));
  const stale = own.filter((name) => !entries.some((entry) => isNamed(entry, name)));
  const replaced = state.read(own.filter((name) => !stale.includes(name)));
  const previous = [...replaced, ...state.read(stale)];
  // Whatever the kernel has of this attachment beside its entries is of an earlier one.
  const drop: Drop = (other, part) => other === tag && wishes[part] !== undefined;
  for (const entry of entries) state.write(entry);
  try {
    const written = write(host, entries, { names, own, stale, previous, drop }, lock);
    // The filter's program runs meanwhile.
    const [openPaths] = await Promise.all([pathsOf(host, entries, wishes.publish), written]);
    openPaths();
  } catch (error) {
    for (const entry of entries) state.remove({ engine: entry.engine, file: entryFile(entry) });
    // What is stale still lies there, under the name that it has.
    for (const entry of replaced) state.write(entry);
    // Whoever could not get the xtables lock changed nothing and has waited long enough.
    if (!isTsnetError(error, "busy")) await restore(host, entries, drop, lock);
    throw explain(error, wishes.publish);
  }
  for (const name of stale) state.remove(name);
  return previous;
}

/** Whether an entry may have one of these ports, by its name. */
function mayHold({ part, ports: held }: EntryName, ports: readonly HeldPort[]): boolean {
  return part === "publish" && (held === undefined || ports.some(({ port }) => held.includes(port)));
}

interface Present {
  readonly names: readonly EntryName[];
  /** What this attachment had before. */
  readonly own: readonly EntryName[];
  /** What of that is not written over. */
  readonly stale: readonly EntryName[];
  readonly previous: readonly Entry[];
  readonly drop: Drop;
}

/** The engines work beside each other; what fails is told when all are done. */
async function write(host: FirewallHost, entries: readonly Entry[], present: Present, lock: FileLock): Promise<void> {
  const engines = new Set([...entries, ...present.stale].map((one) => one.engine));
  const works = [...engines].map((name) => writeTo(host, name, { entries, present }, lock));
  const failures = (await Promise.allSettled(works)).flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  if (failures.length > 0) throw joinErrors("write rules", failures);
}

async function writeTo(
  host: FirewallHost,
  name: KeeperName,
  { entries, present }: { readonly entries: readonly Entry[]; readonly present: Present },
  lock: FileLock,
): Promise<void> {
  const engine = host.opened(name) ?? (await host.keeper(name));
  const mine = entries.filter((entry) => entry.engine === name);
  const others = host.others(name, present.names, []);
  if (name === "firewalld") {
    if (present.own.length > 0) await host.repair(engine, present.stale, present.drop, lock, present.previous);
    // A repair passes over a firewalld that does not run.
    return await engine.add(mine, others, lock.fd);
  }
  if (present.own.length === 0) {
    try {
      return await engine.add(mine, others, lock.fd);
    } catch (error) {
      if (!isSurprise(error)) throw error;
    }
  }
  takeOver(host, mine);
  await host.repair(engine, present.stale, present.drop, lock, present.previous);
}

/**
 * An address belongs to whom it was given last: an attachment that nobody took down, and whose address went to
 * another, loses its elements, lest its late DEL take away the new owner's.
 */
function takeOver(host: FirewallHost, entries: readonly Entry[]): void {
  const keys = new Set(
    entries.flatMap((entry) => entry.content.elements.filter(isOfOneAddress).map(({ set, key }) => `${set} ${key}`)),
  );
  if (keys.size === 0) return;
  const taken = new Set(entries.flatMap((entry) => entry.addresses));
  const tags = new Set(entries.map((entry) => tagOf(entry.attachment)));
  const names = host.state.names().filter(({ tag }) => !tags.has(tag));
  for (const entry of host.state.read(names)) {
    const left = entry.content.elements.filter(({ set, key }) => !keys.has(`${set} ${key}`));
    if (left.length === entry.content.elements.length) continue;
    const addresses = entry.addresses.filter((address) => !taken.has(address));
    host.state.write({ ...entry, addresses, content: { ...entry.content, elements: left } });
  }
}

/** After a failure: what was there before is there again, as far as it goes; the failure itself is what is told. */
async function restore(host: FirewallHost, entries: readonly Entry[], drop: Drop, lock: FileLock): Promise<void> {
  for (const name of new Set(entries.map((entry) => entry.engine))) {
    try {
      await host.repair(await host.keeper(name), [], drop, lock, entries);
    } catch {
      // The engine does not work at all, or the next DEL finds what is left by its tag.
    }
  }
}

/** Asynchronous only so that it fails together with what runs beside it. */
async function pathsOf(host: FirewallHost, entries: readonly Entry[], wish: PublishWish | undefined) {
  const isPublished = wish?.snat === true && entries.some((entry) => entry.part === "publish");
  return preparePaths(host.state, isPublished ? wish.addresses.map(({ address }) => address) : []);
}

function isSamePort(a: HeldPort, b: HeldPort): boolean {
  return a.family === b.family && a.protocol === b.protocol && a.port === b.port && a.hostIp === b.hostIp;
}

function isNamed(entry: Entry, name: EntryName): boolean {
  return entry.engine === name.engine && entryFile(entry) === name.file;
}

/** What the filter cannot read is the user's when the user wrote part of it. */
function explain(error: unknown, wish: PublishWish | undefined): unknown {
  const conditions = [...(wish?.conditionsV4 ?? []), ...(wish?.conditionsV6 ?? [])];
  if (!isTsnetError(error, "program", "kernel-lacks") || conditions.length === 0) return error;
  return new TsnetError(`the conditions ${conditions.join(" ")} are refused: ${error.message}`, {
    code: "invalid",
    op: "publish",
    cause: error,
  });
}
