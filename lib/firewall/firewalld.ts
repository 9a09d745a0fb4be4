/**
 * Entries that firewalld keeps: addresses of containers as sources of a zone.
 *
 * Nothing tells whose a source is, so that only what is recorded can be found. firewalld forgets sources when it is
 * reloaded or ends; then they are missing until the attachment is added again, or all is reloaded.
 *
 * @module
 */
import type { Firewalld } from "../firewalld/firewalld.ts";
import type { Keeper } from "./engine.ts";
import type { Entry } from "./record.ts";

export function firewalldKeeper(firewalld: Firewalld): Keeper {
  const each = async (zones: ReadonlyMap<string, readonly string[]>, work: "addSources" | "removeSources") => {
    for (const [zone, sources] of zones) await firewalld[work](zone, sources);
  };
  return {
    name: "firewalld",
    add: (entries) => each(zonesOf(entries), "addSources"),
    remove: (entries) => each(zonesOf(entries), "removeSources"),
    async repair(wanted, _drop, _lockFd, gone) {
      await each(zonesOf(gone, wanted), "removeSources");
      // Where it does not run it drops nothing.
      if (wanted.length > 0 && (await firewalld.isRunning())) await each(zonesOf(wanted), "addSources");
      return { orphans: false, dropped: [] };
    },
    async missing(entries) {
      if (!(await firewalld.isRunning())) return ["firewalld, which does not run"];
      const found = await Promise.all(
        [...zonesOf(entries)].map(async ([zone, sources]) =>
          (await firewalld.missingSources(zone, sources)).map(
            (source) => `source ${source} of firewalld's zone ${zone}`,
          ),
        ),
      );
      return found.flat();
    },
  };
}

/** The sources of entries by zone, less those that `others` want in the same zone. */
function zonesOf(entries: readonly Entry[], others: readonly Entry[] = []): ReadonlyMap<string, readonly string[]> {
  const kept = new Set(others.flatMap(({ content }) => content.elements.map(({ set, key }) => `${set} ${key}`)));
  const zones = new Map<string, string[]>();
  for (const { set, key } of entries.flatMap(({ content }) => content.elements)) {
    if (!kept.has(`${set} ${key}`)) zones.set(set, [...(zones.get(set) ?? []), key]);
  }
  return zones;
}
