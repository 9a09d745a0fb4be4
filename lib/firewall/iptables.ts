/**
 * The firewall on iptables, of either variant: chains of our own that the built-in ones lead to once, and in them
 * a few rules for each container, tagged by their comment.
 *
 * One `iptables-restore` for each family makes a change. It commits table by table, so the guard of 127.0.0.0/8,
 * in `raw`, comes before the redirections in `nat`.
 *
 * @module
 */
import { isTsnetError, joinErrors } from "../errors.ts";
import type { Iptables, SavedTable } from "../iptables/iptables.ts";
import { IptablesTransaction } from "../iptables/transaction.ts";
import type { Family } from "../net/address.ts";
import type { AdminChain } from "./admin-chain.ts";
import type { Engine, Others } from "./engine.ts";
import { jumpRule, layoutOf, partOfChain } from "./iptables-layout.ts";
import { planIptForward, planIptMasquerade, planIptPublish } from "./iptables-plan.ts";
import type { Leaving } from "./iptables-removal.ts";
import { writeShared } from "./iptables-shared.ts";
import { commentOf, type Entry, sharedComment, sharedKey, sharedOf } from "./record.ts";

type Change = (family: Family) => IptablesTransaction | Promise<IptablesTransaction>;
type LookAt = (family: Family, chain: string) => Promise<AdminChain>;

/** What is asked of the kernel itself. */
export interface IptablesKernel {
  /** Tells how an administrator's chain stands. */
  readonly lookAt: LookAt;
  /** Takes rules away, as `removeFromKernel` does; absent where iptables alone can. */
  readonly remove?: ((leaving: readonly Leaving[]) => void) | undefined;
}

/** The engine on `iptables-restore` and `ip6tables-restore`. */
export function iptablesEngine(iptables: Iptables, kernel: IptablesKernel): Engine {
  const { lookAt } = kernel;
  /** Changes the families at the same time, and waits for both whatever fails. */
  const change = async (families: readonly Family[], lockFd: number, make: Change) => {
    // Begun before we return where nothing has to be looked at, so that our caller's work goes on beside it.
    const runs = families.map(async (family) => {
      const made = make(family);
      return iptables.run(family, made instanceof IptablesTransaction ? made : await made, { inheritFd: lockFd });
    });
    const failures = (await Promise.allSettled(runs)).flatMap((run) => (run.status === "rejected" ? [run.reason] : []));
    if (failures.length > 0) throw joinErrors("iptables", failures);
  };
  return {
    name: `iptables-${iptables.variant}`,
    planMasquerade: (_attachment, wish) => planIptMasquerade(wish),
    planPublish: planIptPublish,
    planForward: planIptForward,
    add: (entries, others, lockFd) =>
      change(familiesOf(entries), lockFd, (family) => {
        const changing = { family, entries, others };
        const chains = adminChains(changing);
        if (chains.length === 0) return addition(changing, NONE);
        return those(family, chains, lookAt, ["absent", "unknown"]).then((absent) => addition(changing, absent));
      }),
    remove: async (entries, others, lockFd) => {
      const families = familiesOf(entries);
      const leaving = families.map((family) => ({ family, entries, others, ending: NONE }));
      const removing = leaving.some((one) => adminChains(one).length > 0)
        ? await Promise.all(leaving.map((one) => withEnding(one, lookAt)))
        : leaving;
      if (kernel.remove !== undefined) return kernel.remove(removing);
      await change(families, lockFd, (family) => removal(removing.find((one) => one.family === family)));
    },
    async repair(wanted, drop, lockFd, gone) {
      const { reparation } = await import("./iptables-repair.ts");
      const saves = new Map(await saveBoth(iptables, wanted));
      const plans = new Map(
        [...saves].map(([family, saved]) => [family, reparation(family, saved, { wanted, drop, gone })]),
      );
      await change([...plans.keys()], lockFd, (family) => plans.get(family)?.transaction ?? new IptablesTransaction());
      const results = [...plans.values()];
      return {
        orphans: results.some(({ orphans }) => orphans),
        dropped: results.flatMap(({ dropped }) => dropped),
      };
    },
    async missing(entries) {
      const { missingFrom } = await import("./iptables-compare.ts");
      const saves = await Promise.all(
        familiesOf(entries).map(async (family) => missingFrom(family, await iptables.save(family), entries)),
      );
      return saves.flat();
    },
  };
}

interface Changing {
  readonly family: Family;
  readonly entries: readonly Entry[];
  readonly others: Others;
}

const NONE: ReadonlySet<string> = new Set();

/** The administrators' chains that come or go with the entries. */
function adminChains({ family, entries, others }: Changing): readonly string[] {
  return sharedOf(entries, family)
    .filter((shared) => !others.shares(sharedKey(shared), family))
    .flatMap(({ adminChain }) => adminChain ?? []);
}

/** Those that stand as is asked. */
async function those(family: Family, chains: readonly string[], lookAt: LookAt, states: readonly AdminChain[]) {
  const looks = await Promise.all(chains.map((chain) => lookAt(family, chain)));
  return new Set(chains.filter((_, at) => states.includes(looks[at] ?? "unknown")));
}

function addition({ family, entries, others }: Changing, absent: ReadonlySet<string>): IptablesTransaction {
  const tx = new IptablesTransaction();
  for (const { part, families } of entries) {
    if (families.includes(family) && !others.has(part, family)) begin(tx, family, part);
  }
  for (const shared of sharedOf(entries, family)) {
    if (others.shares(sharedKey(shared), family)) continue;
    const { adminChain } = shared;
    if (adminChain !== undefined && absent.has(adminChain)) tx.newChain("filter", adminChain);
    for (const rule of shared.rules) if (rule.family === family) writeShared(tx, shared, rule);
  }
  for (const { attachment, content } of entries) {
    const comment = commentOf(attachment);
    for (const own of content.chains) {
      if (own.family !== family) continue;
      tx.newChain("nat", own.chain);
      for (const rule of own.rules) tx.append("nat", own.chain, rule, comment);
    }
    for (const { table, chain, rule } of content.rules.filter((rule) => rule.family === family)) {
      tx.append(table, chain, rule, comment);
    }
  }
  return tx;
}

function begin(tx: IptablesTransaction, family: Family, part: Entry["part"]): void {
  const { chains, jumps, rules } = layoutOf(part, family);
  for (const { table, chain } of chains) tx.newChain(table, chain);
  for (const { table, chain, rule } of rules) tx.append(table, chain, rule);
  for (const jump of jumps) {
    if (jump.first) tx.insert(jump.table, jump.from, jumpRule(jump));
    else tx.append(jump.table, jump.from, jumpRule(jump));
  }
}

async function withEnding(leaving: Leaving, lookAt: LookAt): Promise<Leaving> {
  return { ...leaving, ending: await those(leaving.family, adminChains(leaving), lookAt, ["free", "unknown"]) };
}

function removal(leaving: Leaving | undefined): IptablesTransaction {
  const tx = new IptablesTransaction();
  if (leaving === undefined) return tx;
  const { family, entries, others, ending } = leaving;
  const mine = entries.filter((entry) => entry.families.includes(family));
  const last = new Set(mine.map((entry) => entry.part).filter((part) => !others.has(part, family)));
  for (const part of last) {
    const { chains, jumps } = layoutOf(part, family);
    for (const jump of jumps) tx.delete(jump.table, jump.from, jumpRule(jump));
    for (const { table, chain } of chains) tx.flushChain(table, chain).deleteChain(table, chain);
  }
  for (const shared of sharedOf(mine, family)) {
    if (others.shares(sharedKey(shared), family)) continue;
    const rules = shared.rules.filter(
      (rule) => rule.family === family && !last.has(partOfChain(rule.chain) ?? "accept"),
    );
    for (const { table, chain, rule } of rules) tx.delete(table, chain, rule, sharedComment(shared));
    const { adminChain } = shared;
    if (adminChain !== undefined && ending.has(adminChain)) tx.deleteChain("filter", adminChain);
  }
  for (const { attachment, part, content } of mine) {
    if (!last.has(part)) {
      const comment = commentOf(attachment);
      const rules = content.rules.filter((rule) => rule.family === family);
      for (const { table, chain, rule } of rules) tx.delete(table, chain, rule, comment);
    }
    for (const own of content.chains.filter((chain) => chain.family === family)) {
      tx.flushChain("nat", own.chain).deleteChain("nat", own.chain);
    }
  }
  return tx;
}

/** What both families hold; one whose program is missing holds nothing, as long as nothing is wanted of it. */
async function saveBoth(
  iptables: Iptables,
  wanted: readonly Entry[],
): Promise<readonly (readonly [Family, ReadonlyMap<string, SavedTable>])[]> {
  return await Promise.all(
    ([4, 6] as const).map(async (family) => {
      try {
        return [family, await iptables.save(family)] as const;
      } catch (error) {
        if (!isTsnetError(error, "not-found", "kernel-lacks")) throw error;
        if (wanted.some((entry) => entry.families.includes(family))) throw error;
        return [family, new Map<string, SavedTable>()] as const;
      }
    }),
  );
}

function familiesOf(entries: readonly Entry[]): readonly Family[] {
  return ([4, 6] as const).filter((family) => entries.some((entry) => entry.families.includes(family)));
}
