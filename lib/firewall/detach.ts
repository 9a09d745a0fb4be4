/**
 * Detach and collect: rules go, with whatever is left to find them by.
 *
 * @module
 */
import { isTsnetError, joinErrors } from "../errors.ts";
import type { Address } from "../net/address.ts";
import type { FileLock } from "../sys/files.ts";
import type { Drop, Others } from "./engine.ts";
import { forgetContainer } from "./flows.ts";
import { type FirewallHost, isSurprise } from "./host.ts";
import { type Entry, type EntryName, type KeeperName, networkTag, sharedKey, sharedOf, tagOf } from "./record.ts";
import { closePaths } from "./sysctls.ts";
import type { Attachment, Part } from "./types.ts";

/** Removes parts of an attachment from every engine. */
export async function detach(
  host: FirewallHost,
  attachment: Attachment,
  parts: readonly Part[],
  addresses: readonly Address[] = [],
): Promise<void> {
  const lock = host.state.tryLock() ?? (await host.state.lock());
  try {
    const { state } = host;
    const tag = tagOf(attachment);
    const names = state.namesAlone();
    const own = names.filter((name) => name.tag === tag && parts.includes(name.part));
    const drop: Drop = (other, part) => other === tag && parts.includes(part);
    if (own.length === 0) {
      const { sweep } = await import("./sweep.ts");
      await sweep(host, { attachment, addresses, parts, drop }, lock);
    } else {
      await removeAll(host, { names, own, drop }, lock);
    }
  } finally {
    lock.release();
  }
}

/** Removes parts of every attachment of a network but those in `keep`, from every engine. */
export async function collect(
  host: FirewallHost,
  network: string,
  keep: readonly Attachment[],
  parts: readonly Part[],
): Promise<void> {
  const lock = host.state.tryLock() ?? (await host.state.lock());
  try {
    const { state } = host;
    const kept = new Set(keep.map(tagOf));
    const drop: Drop = (tag, part) =>
      tag.startsWith(`${networkTag(network)}.`) && !kept.has(tag) && parts.includes(part);
    const names = state.namesAlone();
    const own = names.filter((name) => drop(name.tag, name.part));
    if (own.length > 0) await removeAll(host, { names, own, drop }, lock);
    const { sweep } = await import("./sweep.ts");
    await sweep(host, { network, keep, parts, drop }, lock);
  } finally {
    lock.release();
  }
}

interface Removal {
  readonly names: readonly EntryName[];
  readonly own: readonly EntryName[];
  readonly drop: Drop;
}

/**
 * The engines work beside each other and beside conntrack; what fails is told when all are done. Only what published
 * ports waits for its rules to be gone: a stream that goes on would be led to the container once more.
 */
async function removeAll(host: FirewallHost, removal: Removal, lock: FileLock): Promise<void> {
  const { names, own } = removal;
  // The guard that makes the sysctls harmless goes with the last published port.
  const published = (list: readonly EntryName[]) => list.filter((name) => name.part === "publish").length;
  if (published(own) > 0 && published(own) === published(names)) closePaths(host.state);
  const engines = [...new Set(own.map((name) => name.engine))];
  const entries = host.state.read(own);
  const work = Promise.allSettled(engines.map((engine) => removeFrom(host, engine, entries, removal, lock)));
  const addresses = [...new Set(entries.flatMap((entry) => entry.addresses))];
  const ports = entries.flatMap((entry) => entry.ports);
  const forget = async () => {
    if (ports.length > 0) await work;
    await forgetContainer(addresses, ports, host.tools.conntrack);
  };
  const [results, [flows]] = await Promise.all([work, Promise.allSettled([forget()])]);
  const failures = [...results, flows].flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  if (failures.length > 0) throw joinErrors("remove rules", failures);
}

async function removeFrom(
  host: FirewallHost,
  name: KeeperName,
  entries: readonly Entry[],
  { names, own, drop }: Removal,
  lock: FileLock,
): Promise<void> {
  const engine = host.opened(name) ?? (await host.keeper(name));
  const gone = own.filter((one) => one.engine === name);
  const mine = entries.filter((entry) => entry.engine === name);
  try {
    const others = host.others(name, names, gone);
    // Entries that could not be read are missing here: their rules are found by their tag. What an administrator
    // has written is looked at before its place is taken away.
    const ending = endingOf(host, name, mine, others);
    // Without a wait where nothing ends, so that the program runs beside what our caller does next.
    const isQuick = mine.length === gone.length && (ending.length === 0 || (await canEnd(name, ending, others)));
    if (isQuick) await engine.remove(mine, others, lock.fd);
    else await host.repair(engine, gone, drop, lock);
  } catch (error) {
    // Busy is a chain of the administrator's that others lead to.
    if (!isSurprise(error) && !isTsnetError(error, "busy")) throw error;
    await host.repair(engine, gone, drop, lock);
  }
  for (const one of gone) host.state.remove(one);
}

/** A chain of an administrator's, looked at. */
type Look = () => Promise<boolean>;

/** What looks at each administrator's chain whose place goes with the entries; true of one that is empty. */
function endingOf(host: FirewallHost, name: KeeperName, entries: readonly Entry[], others: Others): readonly Look[] {
  // iptables-nft looks where it takes away.
  if (name === "firewalld" || name === "iptables-nft") return [];
  return ([4, 6] as const).flatMap((family) =>
    sharedOf(entries, family).flatMap((shared): Look[] => {
      const { adminChain } = shared;
      if (adminChain === undefined || others.shares(sharedKey(shared), family)) return [];
      return [async () => (await host.tools.adminChain(name, family, adminChain)) === "free"];
    }),
  );
}

/** Whether what ends with the entries can be taken away without reading the rules. */
async function canEnd(name: KeeperName, ending: readonly Look[], others: Others): Promise<boolean> {
  // A rule of nftables goes by its number, or with its chain.
  if (name === "nftables" && others.has("forward")) return false;
  return !(await Promise.all(ending.map((look) => look()))).includes(false);
}
