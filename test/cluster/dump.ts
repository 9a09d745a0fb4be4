/**
 * What a proxy has put into a node's kernel, as text to compare: with what a fresh start puts there, or another node.
 *
 * @module
 */
import type { World } from "../e2e/proxy/world.ts";

/**
 * All rules of a node, line by line and sorted, less counters and what the kernel learned from packets. What kubelet
 * owns too is left out, as it stays for ever, and so are the empty tables of iptables-nft.
 */
export async function rulesOf(world: World): Promise<readonly string[]> {
  const text = await world.sh("node", DUMP);
  // Elements of a set come in any order, several on a line.
  const lines = text.split(/\n|, |elements = \{/).map((line) => line.trim().replace(/,$| \}$/, ""));
  return lines.filter((line) => line !== "" && !KUBELETS.test(line)).sort();
}

/**
 * The same whatever order the endpoints of a service have: that one depends on which came first. Each rule or element
 * that takes an endpoint by chance or number is two lines, one of the chance and one of the endpoint.
 */
export function inAnyOrder(rules: readonly string[]): readonly string[] {
  return rules
    .flatMap((line) => {
      const [, key, index, endpoint] = /^(.+) \. (\d+) : (\S+ \. \d+)$/.exec(line) ?? [];
      if (key !== undefined) return [`${key} . ${index}`, `${key} : ${endpoint}`];
      const [, chain, match = "", target] = TAKES.exec(line) ?? [];
      return chain === undefined ? [line] : [`${chain} ${match}`, `${chain} ${target}`];
    })
    .sort();
}

const TAKES =
  /^(\S+ -A KUBE-SV[CL]-\S+)(?: -p \S+)?( -m statistic .*?)? (-j (?:KUBE-SEP-\S+|DNAT --to-destination \S+))$/;

/** Names of chains, sets and tables: how many there are of each kind. */
export async function countsOf(world: World): Promise<Readonly<Record<string, number>>> {
  const [chains = "", nft = "", ipsets = ""] = (await world.sh("node", COUNTS)).split("\n");
  return { chains: Number(chains), nft: Number(nft), ipsets: Number(ipsets) };
}

const KUBELETS = /KUBE-FIREWALL|KUBE-KUBELET-CANARY|KUBE-IPTABLES-HINT/;

const DUMP = `
for save in iptables-nft-save ip6tables-nft-save iptables-legacy-save ip6tables-legacy-save; do
  $save 2>/dev/null | grep -vE '^(#|\\*|COMMIT|:[A-Z]+ ACCEPT )' | sed -E "s/ \\[[0-9]+:[0-9]+\\]$//; s/^/$save: /" || true
done
for table in $(nft list tables | sed 's/^table //; s/ /,/'); do
  case $table in ip,filter|ip,nat|ip,mangle|ip,raw|ip6,filter|ip6,nat|ip6,mangle|ip6,raw) ;;
  *) nft -s list table $(echo $table | tr , ' ') | sed -E "s/ expires [0-9a-z]+//g" ;; esac
done
ipset save 2>/dev/null | grep -v '^add ' | sed 's/ initval.*//' || true
`;

const COUNTS = `
{ iptables-nft-save; ip6tables-nft-save; } | grep -c '^:KUBE-' || true
nft list ruleset | grep -cE '^\\s+(chain|map|set) ' || true
ipset list -n 2>/dev/null | wc -l
`;
