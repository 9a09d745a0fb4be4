/**
 * The engines and the state of one host, for the verbs: what is there beside an entry, and what happens when the
 * kernel holds something else than the state says.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import type { Family } from "../net/address.ts";
import type { FileLock } from "../sys/files.ts";
import type { Drop, Engine, Keeper, Others, RepairResult } from "./engine.ts";
import type { EngineName, Entry, EntryName, KeeperName } from "./record.ts";
import { State } from "./state.ts";
import type { Tools } from "./tools.ts";

// Others, who heed no lock of ours, may flush between a repair's look and its change.
const REPAIR_TRIES = 8;

export class FirewallHost {
  readonly tools: Tools;
  readonly state: State;
  /** Where new rules go. */
  readonly chosen: EngineName;
  /** Whether another engine may be tried where this one turns out not to work. */
  readonly mayFallBack: boolean;
  readonly #engines = new Map<EngineName, Engine>();

  constructor(tools: Tools, chosen: EngineName, mayFallBack: boolean) {
    this.tools = tools;
    this.state = new State(tools.root);
    this.chosen = chosen;
    this.mayFallBack = mayFallBack;
  }

  /** An engine that was opened before. */
  opened(name: KeeperName): Engine | undefined {
    return name === "firewalld" ? undefined : this.#engines.get(name);
  }

  async engine(name: EngineName): Promise<Engine> {
    const engine = this.#engines.get(name) ?? (await openEngine(name, this.tools));
    this.#engines.set(name, engine);
    return engine;
  }

  /** An engine, or whoever else keeps entries. */
  async keeper(name: KeeperName): Promise<Keeper> {
    if (name !== "firewalld") return await this.engine(name);
    const [{ firewalldKeeper }, firewalld] = await Promise.all([import("./firewalld.ts"), this.tools.firewalld()]);
    return firewalldKeeper(firewalld);
  }

  /** What an engine holds beside `gone`, by the names on disk. */
  others(engine: KeeperName, names: readonly EntryName[], gone: readonly EntryName[]): Others {
    const orphans = this.state.hasOrphans(engine);
    const rest = names.filter((name) => name.engine === engine && !gone.includes(name));
    return {
      any: orphans || rest.length > 0 || this.state.hasAdminRules(engine),
      has: (part, family) =>
        orphans || rest.some((one) => one.part === part && (family === undefined || one.families.includes(family))),
      shares: (key, family) =>
        orphans ||
        rest.some((one) => one.shared.includes(key) && (family === undefined || one.families.includes(family))),
    };
  }

  /**
   * Makes an engine hold what the state says of it, less `gone`; for when the quick way failed. `before` is what the
   * entries were that go, or are written anew.
   */
  async repair(
    engine: Keeper,
    gone: readonly EntryName[],
    drop: Drop,
    lock: FileLock,
    before: readonly Entry[] = this.state.read(gone),
  ): Promise<RepairResult> {
    const names = this.state.names().filter((name) => name.engine === engine.name);
    const left = names.filter((name) => !gone.some((one) => one.engine === name.engine && one.file === name.file));
    const wanted = this.state.read(left);
    const mine = before.filter((entry) => entry.engine === engine.name);
    for (let triesLeft = REPAIR_TRIES - 1; ; triesLeft--) {
      try {
        const result = await engine.repair(wanted, drop, lock.fd, mine);
        this.state.setOrphans(engine.name, result.orphans);
        this.state.setAdminRules(engine.name, result.adminRules === true);
        return result;
      } catch (error) {
        if (triesLeft === 0 || !isTsnetError(error, "exists", "not-found")) throw error;
      }
    }
  }
}

/** Whether the kernel holds something else than we thought, so that reading it helps. */
export function isSurprise(error: unknown): boolean {
  return isTsnetError(error, "exists", "not-found", "conflict");
}

async function openEngine(name: EngineName, tools: Tools): Promise<Engine> {
  if (name === "nftables") {
    const [{ nftablesEngine }, nft] = await Promise.all([import("./nftables.ts"), tools.nft()]);
    return nftablesEngine(nft);
  }
  const variant = name === "iptables-nft" ? "nft" : "legacy";
  const [{ iptablesEngine }, iptables] = await Promise.all([import("./iptables.ts"), tools.iptables(variant)]);
  const lookAt = (family: Family, chain: string) => tools.adminChain(name, family, chain);
  return iptablesEngine(iptables, { lookAt, remove: variant === "nft" ? await tools.iptablesRemoval?.() : undefined });
}
