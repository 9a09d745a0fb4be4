/**
 * The rules that flanneld leaves on a host, of version 0.28, in each of its modes, and those of before it had chains.
 *
 * @module
 */
import { NETWORKS, SUBNETS } from "./agent.ts";

const PROGRAMS = { 4: "iptables", 6: "ip6tables" } as const;
const MULTICAST = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;

/** A script that makes what flanneld makes by iptables of that variant. */
export function flannelIptables(variant: "nft" | "legacy"): string {
  return ([4, 6] as const)
    .flatMap((family) => {
      const [network, subnet] = [NETWORKS[family], SUBNETS[family]];
      const nat = `${PROGRAMS[family]}-${variant} -t nat`;
      const filter = `${PROGRAMS[family]}-${variant} -t filter`;
      const masq = '-m comment --comment "flanneld masq"';
      const forward = '-m comment --comment "flanneld forward"';
      return [
        `${nat} -N FLANNEL-POSTRTG`,
        `${nat} -A POSTROUTING ${masq} -j FLANNEL-POSTRTG`,
        `${nat} -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${masq} -j RETURN`,
        `${nat} -A FLANNEL-POSTRTG -s ${subnet} -d ${network} ${masq} -j RETURN`,
        `${nat} -A FLANNEL-POSTRTG -s ${network} -d ${subnet} ${masq} -j RETURN`,
        `${nat} -A FLANNEL-POSTRTG ! -s ${network} -d ${subnet} ${masq} -j RETURN`,
        `${nat} -A FLANNEL-POSTRTG -s ${network} ! -d ${MULTICAST[family]} ${masq} -j MASQUERADE --random-fully`,
        `${nat} -A FLANNEL-POSTRTG ! -s ${network} -d ${network} ${masq} -j MASQUERADE --random-fully`,
        `${filter} -N FLANNEL-FWD`,
        `${filter} -A FORWARD ${forward} -j FLANNEL-FWD`,
        `${filter} -A FLANNEL-FWD -s ${network} ${forward} -j ACCEPT`,
        `${filter} -A FLANNEL-FWD -d ${network} ${forward} -j ACCEPT`,
      ];
    })
    .join("\n");
}

/** What versions before 0.20 made: the same without chains. */
export function oldFlannelIptables(): string {
  const masq = '-m comment --comment "flanneld masq"';
  const forward = '-m comment --comment "flanneld forward"';
  const network = NETWORKS[4];
  return [
    `iptables-nft -t nat -A POSTROUTING -s ${network} -d ${network} ${masq} -j RETURN`,
    `iptables-nft -t nat -A POSTROUTING -s ${network} ! -d 224.0.0.0/4 ${masq} -j MASQUERADE`,
    `iptables-nft -A FORWARD -s ${network} ${forward} -j ACCEPT`,
  ].join("\n");
}

/** With EnableNFTables. */
export function flannelNftables(): string {
  return ([4, 6] as const)
    .flatMap((family) => {
      const table = `${family === 4 ? "ip" : "ip6"} flannel-ipv${family}`;
      const [ip] = table.split(" ");
      return [
        `nft 'add table ${table} { comment "rules for flannel-ipv${family}" ; }'`,
        `nft 'add chain ${table} forward { type filter hook forward priority 0 ; }'`,
        `nft add rule ${table} forward ${ip} saddr ${NETWORKS[family]} accept`,
        `nft 'add chain ${table} postrtg { type nat hook postrouting priority 100 ; }'`,
        `nft add rule ${table} postrtg ${ip} saddr ${NETWORKS[family]} ${ip} daddr != ${MULTICAST[family]} masquerade fully-random`,
      ];
    })
    .join("\n");
}
