/**
 * firewalld in memory, for tests.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { Firewalld } from "./firewalld.ts";

/** A firewalld that runs, with the zones that it comes with. `reload` is firewall-cmd's, `stop` ends it. */
export function fakeFirewalld(): Firewalld & { reload(): void; stop(): void; dump(): string } {
  const zones = new Map<string, string>();
  let runs = true;
  const ensureRunning = () => {
    if (!runs) throw new TsnetError("firewalld does not run", { code: "not-found", op: "firewalld" });
  };
  return {
    isRunning: async () => runs,
    async addSources(zone, sources) {
      ensureRunning();
      if (!["trusted", "public", "drop"].includes(zone)) {
        throw new TsnetError(`INVALID_ZONE: ${zone}`, { code: "invalid", op: "firewalld" });
      }
      const rival = sources.find((source) => (zones.get(source) ?? zone) !== zone);
      if (rival !== undefined) {
        throw new TsnetError(`source ${rival} is in firewalld's zone ${zones.get(rival)}`, {
          code: "conflict",
          op: "firewalld",
        });
      }
      for (const source of sources) zones.set(source, zone);
    },
    async removeSources(zone, sources) {
      for (const source of sources) if (zones.get(source) === zone) zones.delete(source);
    },
    async missingSources(zone, sources) {
      ensureRunning();
      return sources.filter((source) => zones.get(source) !== zone);
    },
    reload: () => zones.clear(),
    stop() {
      runs = false;
      zones.clear();
    },
    dump: () => [...zones].map(([source, zone]) => `${zone} ${source}\n`).join(""),
  };
}
