/**
 * What the reference plugin firewall (containernetworking/plugins 1.9) leaves in iptables.
 *
 * Its rules tell addresses and nothing else, and it never removes what all containers share: its chains, and the walls
 * around bridges. Whose an address was is told by the caller, or by rules of the reference's bridge and portmap, which
 * name network and container.
 *
 * @module
 */
import type { SavedRule } from "../iptables/iptables.ts";
import type { IptablesTransaction } from "../iptables/transaction.ts";
import { formatAddress, parseAddress } from "../net/address.ts";
import { jumpsTo, rulesOf, type Saved } from "./iptables-compare.ts";
import type { Scope } from "./sweep.ts";

const FORWARD = "CNI-FORWARD";
const ISOLATION = ["CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"] as const;

/** Removes what it left of the attachments in scope; with the last address also what its containers share. */
export function removeReferenceForward(tx: IptablesTransaction, saved: Saved, scope: Scope): void {
  const rules = rulesOf(saved, "filter", FORWARD).flatMap((rule) => {
    const address = addressOf(rule);
    return address === undefined ? [] : [{ rule, address }];
  });
  const gone = goneAddresses(saved, scope);
  const left = rules.filter(({ address }) => !gone.has(address));
  if (left.length === rules.length) return;
  if (left.length === 0) removeShared(tx, saved);
  else for (const { rule, address } of rules) if (gone.has(address)) tx.delete("filter", FORWARD, rule.text);
}

/** Both rules of an address begin with it. */
function addressOf({ words }: SavedRule): string | undefined {
  const [option, cidr = ""] = words;
  const isOne = (option === "-s" || option === "-d") && words.at(-1) === "ACCEPT";
  return isOne ? cidr.replace(/\/\d+$/, "") : undefined;
}

function goneAddresses(saved: Saved, scope: Scope): ReadonlySet<string> {
  const isGone = (network: string, containerId: string) => {
    if ("attachment" in scope) {
      const { attachment } = scope;
      return network === attachment.network && containerId === attachment.containerId;
    }
    return network === scope.network && !scope.keep.some((one) => one.containerId === containerId);
  };
  const told = "attachment" in scope ? scope.addresses.map(formatAddress) : [];
  const owners = ownersOf(saved);
  // An address that went on to another container is that one's.
  const held = new Set(owners.filter((one) => !isGone(one.network, one.containerId)).map(({ address }) => address));
  const named = owners.filter((one) => isGone(one.network, one.containerId) && !held.has(one.address));
  return new Set([...told, ...named.map(({ address }) => address)]);
}

interface Owner {
  readonly network: string;
  readonly containerId: string;
  readonly address: string;
}

/** Who had which address, by the rules of the reference's bridge (masquerade) and portmap. */
function ownersOf(saved: Saved): readonly Owner[] {
  const of = (rule: SavedRule, addresses: readonly string[]): readonly Owner[] => {
    const [, network, containerId] = /^(?:dnat )?name: "(.*)" id: "(.*)"$/.exec(rule.comment ?? "") ?? [];
    if (network === undefined || containerId === undefined) return [];
    return addresses.map((address) => ({ network, containerId, address }));
  };
  const masqueraded = rulesOf(saved, "nat", "POSTROUTING").flatMap((rule) =>
    rule.words[0] === "-s" ? of(rule, [(rule.words[1] ?? "").replace(/\/\d+$/, "")]) : [],
  );
  const published = rulesOf(saved, "nat", "CNI-HOSTPORT-DNAT").flatMap((rule) => {
    const targets = rulesOf(saved, "nat", rule.words.at(-1) ?? "").flatMap(({ words }) => {
      const [, address] = /^\[?([0-9a-f.:]+?)\]?:\d+$/.exec(words[words.indexOf("--to-destination") + 1] ?? "") ?? [];
      return address === undefined ? [] : [formatAddress(parseAddress(address))];
    });
    return of(rule, targets);
  });
  return [...masqueraded, ...published];
}

/** An administrator's chain stays if it says anything, or if somebody else asks it. */
function removeShared(tx: IptablesTransaction, saved: Saved): void {
  const chains = [FORWARD, ...ISOLATION].filter((chain) => saved.get("filter")?.chains.has(chain) === true);
  for (const to of chains) {
    const jump = { table: "filter", from: "FORWARD", to } as const;
    for (const rule of jumpsTo(saved, jump)) tx.delete("filter", "FORWARD", rule.text);
  }
  for (const chain of chains) tx.flushChain("filter", chain);
  for (const chain of chains) tx.deleteChain("filter", chain);
  for (const { comment, words } of rulesOf(saved, "filter", FORWARD)) {
    const admin = words.at(-1) ?? "";
    if (comment !== "CNI firewall plugin admin overrides" || rulesOf(saved, "filter", admin).length > 0) continue;
    const others = [...(saved.get("filter")?.chains.keys() ?? [])].filter((from) => from !== FORWARD);
    const isAsked = others.some((from) => jumpsTo(saved, { table: "filter", from, to: admin }).length > 0);
    if (!isAsked) tx.deleteChain("filter", admin);
  }
}
