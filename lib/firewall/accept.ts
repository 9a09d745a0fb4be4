/**
 * Accepting what is forwarded to and from containers, on a host whose own rules drop what they do not know.
 *
 * Base chains of netfilter are asked one after the other, and a drop in any of them is final: an accept in a table
 * of ours overrules nothing. So it goes to where the drop is, first in FORWARD of whichever iptables holds rules,
 * whatever our own back end is. A chain that somebody wrote in nftables is not ours to change: there we stop, and
 * say what to add.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { NftBaseChain } from "../nft/nft.ts";
import { droppingChains } from "./drops.ts";
import type { FirewallHost } from "./host.ts";
import { planIptAccept } from "./iptables-plan.ts";
import { toEntry } from "./plan.ts";
import type { Entry } from "./record.ts";
import type { AcceptWish, Attachment } from "./types.ts";

/**
 * The entries that a wish means on this host; none where no iptables holds a rule, and so nothing drops.
 *
 * @throws TsnetError `conflict` if a base chain of nftables drops what is wished, with the rules to add to it.
 */
export async function planAccept(
  host: FirewallHost,
  attachment: Attachment,
  wish: AcceptWish,
): Promise<readonly Entry[]> {
  await refuseForeignDrops(host, wish);
  const { holdRules } = await host.tools.surveyVariants();
  const content = planIptAccept(wish);
  return holdRules.map((variant) => ({
    ...toEntry(`iptables-${variant}`, attachment, "accept", wish.addresses, content),
    addresses: [],
  }));
}

async function refuseForeignDrops(host: FirewallHost, wish: AcceptWish): Promise<void> {
  if (!host.tools.hasNft()) return;
  const forwarded = { links: [wish.link], networks: wish.addresses };
  const [first] = await droppingChains(await host.tools.nft(), forwarded);
  if (first !== undefined) throw refusal(first.chain, wish, first.reason);
}

function refusal({ family, table, chain }: NftBaseChain, { link, inbound }: AcceptWish, reason: string): TsnetError {
  const insert = `nft insert rule ${family} ${table} ${chain}`;
  const to = inbound === true ? [""] : [" ct state established,related", " ct status dnat"];
  const rules = [`iifname "${link}"`, ...to.map((which) => `oifname "${link}"${which}`)];
  return new TsnetError(
    `nftables chain ${family} ${table} ${chain} drops what is forwarded to and from ${link} (${reason}), and no other table can overrule it; add to it: ${rules.map((rule) => `${insert} ${rule} accept`).join("; ")}`,
    { code: "conflict", op: "accept forwarding" },
  );
}
