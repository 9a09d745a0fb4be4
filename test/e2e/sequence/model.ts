/**
 * What there should be after each step: which attachments stand, and with which addresses and ports.
 *
 * @module
 */
import { NETWORKS, type Network } from "./networks.ts";

export interface Key {
  readonly network: string;
  readonly container: string;
  readonly ifname: string;
}

export interface Standing extends Key {
  /** As its ADD gave them: `10.31.0.2/29`. */
  readonly addresses: readonly string[];
  readonly port: number | undefined;
  /** Its container's namespace went, and no DEL came: the kernel took the link, all else is there. */
  readonly isOrphan: boolean;
}

/** What is there, in words that compare; every list is sorted. */
export interface Scene {
  /** Host's ends, by their alias. */
  readonly links: readonly string[];
  /** `c1 eth0 10.31.0.2/29`. */
  readonly inside: readonly string[];
  /** `small 10.31.0.2 c1 eth0`: host-local's files. */
  readonly held: readonly string[];
  /** Addresses that are masqueraded, in either packet filter. */
  readonly masqueraded: readonly string[];
  /** `8001 10.31.0.2:80`. */
  readonly published: readonly string[];
  /** `small c1 eth0 masquerade`: what is on record of the packet filters. */
  readonly recorded: readonly string[];
}

export const CONTAINERS = ["c1", "c2", "c3"] as const;
export const IFNAMES = ["eth0", "eth1"] as const;
export const PORTS = [8001, 8002] as const;

export class Model {
  readonly #standing = new Map<string, Standing>();

  get all(): readonly Standing[] {
    return [...this.#standing.values()];
  }

  get(key: Key): Standing | undefined {
    return this.#standing.get(textOf(key));
  }

  /** Why an ADD has to fail; undefined if it has to succeed. */
  refusal(key: Key, port: number | undefined): "taken" | "no address" | "port" | undefined {
    const { container, ifname } = key;
    if (this.all.some((one) => one.container === container && one.ifname === ifname && !one.isOrphan)) return "taken";
    if (this.all.filter(({ network }) => network === key.network).length >= networkOf(key).room) return "no address";
    if (port !== undefined && this.all.some((one) => one.port === port)) return "port";
    return undefined;
  }

  add(standing: Omit<Standing, "isOrphan">): void {
    this.#standing.set(textOf(standing), { ...standing, isOrphan: false });
  }

  remove(key: Key): void {
    this.#standing.delete(textOf(key));
  }

  orphan(container: string): void {
    for (const one of this.all.filter((each) => each.container === container)) {
      this.#standing.set(textOf(one), { ...one, isOrphan: true });
    }
  }

  scene(): Scene {
    const live = this.all.filter(({ isOrphan }) => !isOrphan);
    const bare = (cidr: string) => cidr.slice(0, cidr.indexOf("/"));
    return {
      links: live.map(textOf).sort(),
      inside: live.flatMap((one) => one.addresses.map((cidr) => `${one.container} ${one.ifname} ${cidr}`)).sort(),
      held: this.all
        .flatMap((one) => one.addresses.map((cidr) => `${one.network} ${bare(cidr)} ${one.container} ${one.ifname}`))
        .sort(),
      masqueraded: this.all.flatMap(({ addresses }) => addresses.map(bare)).sort(),
      published: this.all.flatMap((one) => publishedBy(one)).sort(),
      recorded: this.all
        .flatMap((one) =>
          ["masquerade", ...(one.port === undefined ? [] : ["publish"])].map((p) => `${textOf(one)} ${p}`),
        )
        .sort(),
    };
  }
}

export function networkOf({ network }: Key): Network {
  const found = NETWORKS.find(({ name }) => name === network);
  if (found === undefined) throw new Error(`no network ${network}`);
  return found;
}

export function textOf({ network, container, ifname }: Key): string {
  return `${network} ${container} ${ifname}`;
}

function publishedBy({ addresses, port }: Standing): readonly string[] {
  if (port === undefined) return [];
  return addresses.map((cidr) => {
    const address = cidr.slice(0, cidr.indexOf("/"));
    return `${port} ${address.includes(":") ? `[${address}]` : address}:80`;
  });
}
