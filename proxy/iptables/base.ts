/**
 * The chains that are there whatever the services are, and the jumps to them from the built-in ones.
 *
 * The jumps are kube-proxy's to the letter: it looks for just these rules before it adds its own, and takes these away
 * when it cleans up.
 *
 * @module
 */
import type { IptablesTable } from "../../lib/iptables/transaction.ts";
import { overlaps, parseCidr } from "../../lib/net/cidr.ts";
import {
  EXTERNAL_SERVICES,
  FIREWALL,
  FORWARD,
  MARK_MASQ,
  NODE_PORTS,
  NOT_LOCAL,
  POSTROUTING,
  PROXY_FIREWALL,
  SERVICES,
} from "./names.ts";
import { isAll, isFamily, joined, rule, toDestination } from "./rule.ts";
import type { Shape } from "./shape.ts";

/** A rule of a built-in chain. */
export interface Jump {
  readonly table: IptablesTable;
  readonly chain: string;
  readonly rule: string;
  readonly to: string;
}

const NEW = "-m conntrack --ctstate NEW";

/** In the order in which they stand in their chains. */
export const JUMPS: readonly Jump[] = [
  jump("filter", "INPUT", PROXY_FIREWALL, "kubernetes load balancer firewall", NEW),
  jump("filter", "INPUT", NODE_PORTS, "kubernetes health check service ports"),
  jump("filter", "INPUT", EXTERNAL_SERVICES, "kubernetes externally-visible service portals", NEW),
  jump("filter", "FORWARD", PROXY_FIREWALL, "kubernetes load balancer firewall", NEW),
  jump("filter", "FORWARD", FORWARD, "kubernetes forwarding rules"),
  jump("filter", "FORWARD", SERVICES, "kubernetes service portals", NEW),
  jump("filter", "FORWARD", EXTERNAL_SERVICES, "kubernetes externally-visible service portals", NEW),
  jump("filter", "OUTPUT", PROXY_FIREWALL, "kubernetes load balancer firewall", NEW),
  jump("filter", "OUTPUT", SERVICES, "kubernetes service portals", NEW),
  jump("nat", "PREROUTING", SERVICES, "kubernetes service portals"),
  jump("nat", "OUTPUT", SERVICES, "kubernetes service portals"),
  jump("nat", "POSTROUTING", POSTROUTING, "kubernetes postrouting rules"),
];

/** kubelet's as well: made where they are missing, never taken away. Before all others. */
export const SHARED_JUMPS: readonly Jump[] = [jump("filter", "INPUT", FIREWALL), jump("filter", "OUTPUT", FIREWALL)];

/** The jumps of a family. The rule behind the shared ones is of IPv4 alone. */
export function jumpsOf(family: 4 | 6): readonly Jump[] {
  return family === 4 ? [...SHARED_JUMPS, ...JUMPS] : JUMPS;
}

function jump(table: IptablesTable, chain: string, to: string, comment?: string, first?: string): Jump {
  return { table, chain, to, rule: rule({ first, comment, target: `-j ${to}` }) };
}

/** Chains that services share no rule of, by table. */
export function fixedChains(shape: Shape): Readonly<Record<"nat" | "filter", ReadonlyMap<string, readonly string[]>>> {
  const nat = new Map<string, readonly string[]>([
    [MARK_MASQ, [rule({ target: `-j MARK --set-xmark ${shape.mark}/${shape.mark}` })]],
    [POSTROUTING, postrouting(shape)],
  ]);
  if (shape.masquerade?.target === NOT_LOCAL) {
    const returns = shape.local.map((where) => rule({ where, target: "-j RETURN" }));
    nat.set(NOT_LOCAL, [...returns, rule({ target: `-j ${MARK_MASQ}` })]);
  }
  return { nat, filter: new Map([[FORWARD, forward(shape)]]) };
}

/**
 * KUBE-FIREWALL's rule, with which kubelet writes the very same: route_localnet lets in what comes from elsewhere to
 * 127.0.0.0/8 (CVE-2020-8558).
 */
export const MARTIANS = rule({
  where: "! -s 127.0.0.0/8 -d 127.0.0.0/8",
  comment: "block incoming localnet connections",
  match: "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT",
  target: "-j DROP",
});

function postrouting({ mark, family, bpf }: Shape): readonly string[] {
  const unmarked = `-m mark ! --mark ${mark}/${mark}`;
  const masquerade = "-j MASQUERADE --random-fully";
  const comment = "kubernetes service traffic requiring SNAT";
  return [
    ...(bpf ? [rule({ first: `${unmarked} ${hairpin(family)}`, comment, target: masquerade })] : []),
    rule({ match: unmarked, target: "-j RETURN" }),
    // The mark goes, so that a packet that comes round again is not masqueraded once more.
    rule({ target: `-j MARK --set-xmark ${mark}/0x0` }),
    rule({ comment, target: masquerade }),
  ];
}

function forward({ mark, family, bpf, settings }: Shape): readonly string[] {
  const accept = "-j ACCEPT";
  const invalid = rule({ match: "-m conntrack --ctstate INVALID", target: "-j DROP" });
  const comment = "kubernetes forwarding rules";
  return [
    ...(settings.dropInvalid ? [invalid] : []),
    rule({ comment, match: `-m mark --mark ${mark}/${mark}`, target: accept }),
    rule({
      comment: "kubernetes forwarding conntrack rule",
      match: "-m conntrack --ctstate RELATED,ESTABLISHED",
      target: accept,
    }),
    // In kube-proxy's layout these have the mark.
    ...(bpf ? [rule({ comment, match: hairpin(family), target: accept })] : []),
  ];
}

/**
 * Matches a new connection that goes back to where it came from: its destination was rewritten and is its source now.
 * Classic BPF (linux/filter.h) from the network header on: load a word of the destination, compare with the source's.
 */
export function hairpin(family: 4 | 6): string {
  const LD_W_ABS = 0x20;
  const TAX = 0x07;
  const JEQ_X = 0x1d;
  const RET_K = 0x06;
  const [source, destination, words] = family === 4 ? [12, 16, 1] : [8, 24, 4];
  const code: string[] = [];
  for (let word = 0; word < words; word++) {
    // Where they differ it goes on with the last instruction.
    const away = 4 * (words - word) - 3;
    code.push(`${LD_W_ABS} 0 0 ${source + 4 * word}`, `${TAX} 0 0 0`);
    code.push(`${LD_W_ABS} 0 0 ${destination + 4 * word}`, `${JEQ_X} 0 ${away} 0`);
  }
  code.push(`${RET_K} 0 0 65535`, `${RET_K} 0 0 0`);
  return `-m conntrack --ctstate DNAT -m bpf --bytecode "${code.length},${code.join(",")}"`;
}

const LOOPBACK = { 4: "127.0.0.0/8", 6: "::1/128" } as const;
const NODE_PORTS_COMMENT = "kubernetes service nodeports; NOTE: this must be the last rule in this chain";

/**
 * What KUBE-SERVICES begins and ends with. The mark that cluster IPs get for what is not from a pod of this node is
 * put on before it is known whether anybody serves them: ten thousand rules less that way. So what nobody serves
 * loses it again, as KUBE-FORWARD would let it by.
 */
export function serviceFrame(shape: Shape): { readonly before: readonly string[]; readonly behind: readonly string[] } {
  const { commonCIDRs, masquerade, mark } = shape;
  const cidrs = masquerade === undefined ? [] : commonCIDRs;
  const before = cidrs.map((cidr) =>
    rule({
      where: joined(masquerade?.source, toDestination(cidr), masquerade?.link),
      comment: "cluster IPs",
      target: `-j ${masquerade?.target}`,
    }),
  );
  const after = cidrs.map((cidr) =>
    rule({
      where: toDestination(cidr),
      comment: "cluster IPs that nobody serves",
      target: `-j MARK --set-xmark 0x0/${mark}`,
    }),
  );
  return { before, behind: [...after, ...nodePortRules(shape)] };
}

/** What leads to node ports. */
function nodePortRules({ family, settings, nodeAddresses }: Shape): readonly string[] {
  const loopback = LOOPBACK[family];
  const withLoopback = family === 4 && settings.localhostNodePorts;
  const local = "-m addrtype --dst-type LOCAL";
  const lead = (where: string, match?: string) =>
    rule({ where, comment: NODE_PORTS_COMMENT, match, target: `-j ${NODE_PORTS}` });
  const { nodePortAddresses } = settings;
  if (nodePortAddresses === "primary") return nodeAddresses.map((address) => lead(toDestination(address)));
  const cidrs = nodePortAddresses === "all" ? [] : nodePortAddresses.filter((cidr) => isFamily(family, cidr));
  // None of a family means all of it, as with kube-proxy.
  if (cidrs.length === 0 || cidrs.some(isAll)) return [lead(withLoopback ? "" : `! -d ${loopback}`, local)];
  const holdLoopback = cidrs.some((cidr) => overlaps(parseCidr(cidr), parseCidr(loopback)));
  return [
    ...(holdLoopback && !withLoopback ? [rule({ where: `-d ${loopback}`, target: "-j RETURN" })] : []),
    ...cidrs.map((cidr) => lead(toDestination(cidr), local)),
  ];
}
