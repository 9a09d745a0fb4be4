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
import { formatAddress } from "../net/address.ts";
import { type Cidr, formatCidr, networkOf } from "../net/cidr.ts";
import type { NftBaseChain } from "../nft/nft.ts";
import { droppingChains, FIREWALLD } from "./drops.ts";
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
  await refuseForeignDrops(host, { ...wish, links: [wish.link] });
  const { holdRules } = await host.tools.surveyVariants();
  const content = planIptAccept(wish);
  return holdRules.map((variant) => ({
    ...toEntry(`iptables-${variant}`, attachment, "accept", wish.addresses, content),
    addresses: [],
  }));
}

/** What is to be forwarded, by which interfaces of the host and for whom. */
interface Passage {
  readonly links: readonly string[];
  readonly addresses: readonly Cidr[];
  readonly inbound?: boolean;
  /** The zone of firewalld that it is accepted by. */
  readonly firewalldZone?: string;
}

/** @throws TsnetError `conflict` if a base chain of nftables drops it, with the rules to add to that chain. */
export async function refuseForeignDrops(host: FirewallHost, passage: Passage): Promise<void> {
  if (!host.tools.hasNft()) return;
  const told = passage.firewalldZone === undefined ? [] : [FIREWALLD];
  const forwarded = { links: passage.links, networks: passage.addresses, told };
  const [first] = await droppingChains(await host.tools.nft(), forwarded);
  if (first !== undefined) throw refusal(first.chain, passage, first.reason);
}

function refusal(base: NftBaseChain, passage: Passage, reason: string): TsnetError {
  const { family, table, chain } = base;
  const insert = `nft insert rule ${family} ${table} ${chain}`;
  const { links, addresses, inbound } = passage;
  const to = inbound === true ? [""] : [" ct state established,related", " ct status dnat"];
  const ends =
    links.length > 0
      ? links.map((link) => [`iifname "${link}"`, `oifname "${link}"`])
      : addresses.map(({ address }) => {
          const ip = address.family === 4 ? "ip" : "ip6";
          return [`${ip} saddr ${formatAddress(address)}`, `${ip} daddr ${formatAddress(address)}`];
        });
  const rules = ends.flatMap(([from = "", towards = ""]) => [from, ...to.map((which) => `${towards}${which}`)]);
  const whom = links.length > 0 ? links.join(", ") : addresses.map(({ address }) => formatAddress(address)).join(", ");
  const wayOut =
    table === FIREWALLD
      ? `tell firewalld, by backend "firewalld" of the plugin firewall or by: ${zonesOf(passage)}`
      : `add to it: ${rules.map((rule) => `${insert} ${rule} accept`).join("; ")}`;
  return new TsnetError(
    `nftables chain ${family} ${table} ${chain} drops what is forwarded to and from ${whom} (${reason}), and no other table can overrule it; ${wayOut}`,
    { code: "conflict", op: "accept forwarding" },
  );
}

/** What is firewalld's is lost with its next reload if it is written into its chains. */
function zonesOf({ addresses }: Passage): string {
  const networks = new Set(addresses.map((cidr) => formatCidr(networkOf(cidr))));
  return [...networks].map((one) => `firewall-cmd --permanent --zone=trusted --add-source=${one}`).join("; ");
}
