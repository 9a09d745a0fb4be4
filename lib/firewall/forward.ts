/**
 * What the host forwards to and from a container: where the accepting rules, the walls and the administrator's chain
 * go.
 *
 * All of it goes to our own back end. Where that is not the iptables whose FORWARD holds rules, accepting rules alone
 * go there, too: base chains of netfilter are asked one after the other, and a drop in any of them is final.
 *
 * @module
 */
import { bitsOf, formatAddress } from "../net/address.ts";
import { refuseForeignDrops } from "./accept.ts";
import type { Engine } from "./engine.ts";
import type { FirewallHost } from "./host.ts";
import { planIptForward } from "./iptables-plan.ts";
import { toEntry } from "./plan.ts";
import { type EngineName, type Entry, type KeeperName, tagOf } from "./record.ts";
import { forwards } from "./sysctls.ts";
import type { Attachment, ForwardWish } from "./types.ts";

/**
 * The entries that a wish means on this host.
 *
 * @throws TsnetError `conflict` if a base chain of nftables drops what is wished, with the rules to add to it.
 */
export async function planForward(
  host: FirewallHost,
  engine: Engine,
  attachment: Attachment,
  wish: ForwardWish,
): Promise<readonly Entry[]> {
  if (wish.addresses.length === 0) return [];
  await refuseForeignDrops(host, wish);
  if (wish.firewalldZone !== undefined) return zoneEntries(engine, attachment, wish, wish.firewalldZone);
  const main = mainEntry(engine, attachment, wish);
  const others = (await host.tools.forwardRules(main.families))
    .map(({ variant }): EngineName => `iptables-${variant}`)
    .filter((name) => name !== engine.name);
  return [main, ...others.map((name) => acceptEntry(name, attachment, wish))];
}

/**
 * The same, where ADD put it: which engine is chosen may have changed since. Rules that others wrote into an iptables
 * where there was none are not asked about, unless it drops.
 */
export async function planForwardAgain(
  host: FirewallHost,
  attachment: Attachment,
  wish: ForwardWish,
): Promise<readonly Entry[]> {
  const names = host.state.names().filter((name) => name.part === "forward" && name.tag === tagOf(attachment));
  const main = names.find((name) => name.shared.length > 0)?.engine;
  const engine = await host.engine(main === undefined || main === "firewalld" ? host.chosen : main);
  const entries = await planForward(host, engine, attachment, wish);
  const dropping = (await host.tools.forwardRules([4, 6])).filter(({ drops }) => drops);
  const known = new Set<KeeperName>([
    engine.name,
    "firewalld",
    ...names.map((name) => name.engine),
    ...dropping.map(({ variant }): EngineName => `iptables-${variant}`),
  ]);
  return entries.filter((entry) => known.has(entry.engine));
}

function mainEntry(engine: Engine, attachment: Attachment, wish: ForwardWish): Entry {
  const entry = toEntry(engine.name, attachment, "forward", wish.addresses, engine.planForward(wish));
  return { ...entry, forwarding: forwards(entry.families) };
}

function acceptEntry(name: EngineName, attachment: Attachment, wish: ForwardWish): Entry {
  return toEntry(name, attachment, "forward", wish.addresses, planIptForward(wish, true));
}

/** firewalld accepts what belongs to a trusted zone; it has no walls between containers. */
function zoneEntries(engine: Engine, attachment: Attachment, wish: ForwardWish, zone: string): readonly Entry[] {
  const elements = wish.addresses.map(({ address }) => ({
    set: zone,
    key: `${formatAddress(address)}/${bitsOf(address.family)}`,
  }));
  const content = { elements, rules: [], chains: [] };
  const sources = toEntry("firewalld", attachment, "forward", wish.addresses, content);
  const entry = { ...sources, forwarding: forwards(sources.families) };
  return wish.ingress === "open" ? [entry] : [entry, mainEntry(engine, attachment, wish)];
}
