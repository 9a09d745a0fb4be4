/**
 * A host whose packet filters are in memory and whose state is in a folder of the test's own.
 *
 * @module
 */
import { fakeConntrack } from "../../../lib/conntrack/conntrack.fake.ts";
import type { AdminChain } from "../../../lib/firewall/admin-chain.ts";
import { chooseFirewall } from "../../../lib/firewall/firewall.ts";
import type { EngineName } from "../../../lib/firewall/record.ts";
import type { Tools } from "../../../lib/firewall/tools.ts";
import type { Attachment, Backend, Firewall, PublishWish } from "../../../lib/firewall/types.ts";
import { fakeFirewalld } from "../../../lib/firewalld/firewalld.fake.ts";
import type { ForwardRules } from "../../../lib/iptables/forward.ts";
import { fakeIptables } from "../../../lib/iptables/iptables.fake.ts";
import type { Family } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { fakeNft } from "../../../lib/nft/nft.fake.ts";
import type { NftTableName } from "../../../lib/nft/transaction.ts";

/** A fake host; `calls` counts what was asked of the filters. */
export class FakeHost {
  readonly nft = fakeNft();
  readonly iptables = { nft: fakeIptables({ variant: "nft" }), legacy: fakeIptables({ variant: "legacy" }) };
  readonly conntrack = fakeConntrack();
  readonly firewalld = fakeFirewalld();
  readonly calls: string[] = [];
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  tools(changes: Partial<Tools> = {}): Tools {
    return {
      root: this.root,
      nft: async () => this.#counted("nft", { ...this.nft, tables: () => this.#tables() }),
      iptables: async (variant) => this.#counted(`iptables-${variant}`, this.iptables[variant]),
      conntrack: async () => this.conntrack,
      firewalld: async () => this.firewalld,
      hasNft: () => true,
      legacyIsLoaded: () => false,
      detectVariant: async () => "nft",
      adminChain: (engine, family, chain) => this.#adminChain(engine, family, chain),
      forwardRules: (families) => this.#forwardRules(families),
      surveyVariants: async () => ({ variant: "nft", holdRules: ["nft"] }),
      ...changes,
    };
  }

  firewall(backend?: Backend, changes: Partial<Tools> = {}): Promise<Firewall> {
    return chooseFirewall(backend, this.tools(changes));
  }

  /** Everything that any filter holds. */
  dump(): string {
    const { nft, legacy } = this.iptables;
    return [this.nft.dump(), nft.dump(4), nft.dump(6), legacy.dump(4), legacy.dump(6)]
      .filter((one) => one !== "")
      .join("\n");
  }

  /** nft lists the tables of iptables-nft among its own. */
  async #tables(): Promise<readonly NftTableName[]> {
    const { nft } = this.iptables;
    const used = ([4, 6] as const).filter((family) => nft.dump(family) !== "");
    const tables = used.map((family): NftTableName => ({ family: family === 4 ? "ip" : "ip6", table: "nat" }));
    return [...(await this.nft.tables()), ...tables];
  }

  async #adminChain(engine: EngineName, family: Family, name: string): Promise<AdminChain> {
    if (engine === "iptables-legacy") return "unknown";
    const table =
      engine === "nftables"
        ? await this.nft.list("inet", "tsnet")
        : (await this.iptables.nft.save(family, ["filter"])).get("filter");
    const chain = table?.chains.get(name);
    if (chain === undefined) return "absent";
    return chain.rules.length === 0 ? "free" : "used";
  }

  async #forwardRules(families: readonly Family[]): Promise<readonly ForwardRules[]> {
    const found: ForwardRules[] = [];
    for (const variant of ["nft", "legacy"] as const) {
      const saves = await Promise.all(families.map((family) => this.iptables[variant].save(family, ["filter"])));
      const rules = saves.flatMap((saved) => saved.get("filter")?.chains.get("FORWARD")?.rules ?? []);
      if (rules.length > 0) found.push({ variant, drops: false });
    }
    return found;
  }

  #counted<T extends object>(name: string, filter: T): T {
    return new Proxy(filter, {
      get: (target, key, receiver) => {
        const value = Reflect.get(target, key, receiver);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          this.calls.push(`${name} ${String(key)}`);
          return value.apply(target, args);
        };
      },
    });
  }
}

export const WEB: Attachment = { network: "net1", containerId: "web", ifname: "eth0" };
export const DNS: Attachment = { network: "net1", containerId: "dns", ifname: "eth0" };

// Documentation networks (RFC 5737, RFC 3849): no route of the machine that tests run on leads there.
export const addresses = (last: number) => [parseCidr(`198.51.100.${last}/24`), parseCidr(`2001:db8::${last}/64`)];

/** A wish to publish, the reference's defaults unless told otherwise. */
export function publish(more: Partial<PublishWish> & Pick<PublishWish, "mappings">): PublishWish {
  return { addresses: addresses(5), snat: true, masqAll: false, markMasqBit: 13, ...more };
}

export const tcp = (hostPort: number, containerPort = 80) => ({ protocol: "tcp", hostPort, containerPort }) as const;
export const udp = (hostPort: number, containerPort = 53) => ({ protocol: "udp", hostPort, containerPort }) as const;
