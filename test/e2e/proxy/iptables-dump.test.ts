/**
 * What lies in the kernel for a dozen services, as iptables-save prints it: rules, and the chains that have none.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { Host } from "../host.ts";
import { Caller, useVariant } from "./iptables-call.ts";
import { dozen } from "./iptables-services.ts";

let host: Host;
beforeEach(async () => {
  host = await Host.create();
});
afterEach(() => host.destroy());

/** Tables in a fixed order, without counters, remarks and built-in chains that hold nothing. */
function readable(save: string): string {
  const tables = ["filter", "nat", "mangle"].map((name) => {
    const lines = save.split("\n");
    const from = lines.indexOf(`*${name}`);
    const own = lines.slice(from, lines.indexOf("COMMIT", from));
    const rules = own.filter((line) => line.startsWith("-A "));
    const empty = own
      .filter(
        (line) =>
          line.startsWith(":KUBE-") &&
          !line.startsWith(":KUBE-IPTABLES-HINT") &&
          !rules.some((rule) => rule.split(" ")[1] === line.slice(1).split(" ")[0]),
      )
      .map((line) => line.replace(/ \[.*/, ""));
    return `*${name}\n${[...empty, ...rules].join("\n")}\n`;
  });
  return tables.join("");
}

test.each(["nft", "legacy"] as const)("a dozen services in IPv4, %s", async (variant) => {
  await useVariant(host, variant);
  await using caller = await Caller.open(host);
  await caller.call({ do: "replace", table: dozen(4) });
  expect(readable(await host.ok([`iptables-${variant}-save`]))).toBe(IPV4);
  expect(await caller.call({ do: "audit" })).toEqual([]);
});

test.each(["nft", "legacy"] as const)("half of them in IPv6, %s", async (variant) => {
  await useVariant(host, variant);
  await using caller = await Caller.open(host, { family: 6 });
  await caller.call({ do: "replace", table: dozen(6, 7) });
  expect(readable(await host.ok([`ip6tables-${variant}-save`]))).toBe(IPV6);
  expect(await caller.call({ do: "audit" })).toEqual([]);
});

const IPV4 = `*filter
:KUBE-PROXY-CANARY -
-A INPUT -j KUBE-FIREWALL
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "shop/empty has no endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30002 -j REJECT --reject-with icmp-port-unreachable
-A KUBE-EXTERNAL-SERVICES -d 198.51.101.8/32 -p tcp -m comment --comment "shop/balancer-elsewhere has no local endpoints" -m tcp --dport 80 -j DROP
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m conntrack --ctstate DNAT -m bpf --bytecode "6,32 0 0 12,7 0 0 0,32 0 0 16,29 0 1 0,6 0 0 65535,6 0 0 0" -j ACCEPT
-A KUBE-NODEPORTS -p tcp -m comment --comment "shop/balancer-local health check node port" -m tcp --dport 32007 -j ACCEPT
-A KUBE-PROXY-FIREWALL -d 198.51.101.9/32 -p tcp -m comment --comment "shop/ranges traffic not accepted by KUBE-FW-JE6YEGIXUHIWFJQU" -m tcp --dport 80 -j DROP
-A KUBE-SERVICES -d 10.96.1.2/32 -p tcp -m comment --comment "shop/empty has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
-A KUBE-SERVICES -d 10.96.1.4/32 -p tcp -m comment --comment "shop/internal-elsewhere has no local endpoints" -m tcp --dport 80 -j DROP
*nat
:KUBE-PROXY-CANARY -
:KUBE-SVC-tsnet-proxy -
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-EXT-C6YCYWI3VSGSBIFB -m comment --comment "masquerade traffic for shop/sticky external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-C6YCYWI3VSGSBIFB -j KUBE-SVC-C6YCYWI3VSGSBIFB
-A KUBE-EXT-JE6YEGIXUHIWFJQU -m comment --comment "masquerade traffic for shop/ranges external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-JE6YEGIXUHIWFJQU -j KUBE-SVC-JE6YEGIXUHIWFJQU
-A KUBE-EXT-JOFUSCBZDPVTP6BK -m comment --comment "masquerade traffic for shop/node-port external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-JOFUSCBZDPVTP6BK -j KUBE-SVC-JOFUSCBZDPVTP6BK
-A KUBE-EXT-PCTZKYY62SMRWZXX -s 10.244.1.0/24 -m comment --comment "pod traffic for shop/balancer-local external destinations" -j KUBE-SVC-PCTZKYY62SMRWZXX
-A KUBE-EXT-PCTZKYY62SMRWZXX -m comment --comment "masquerade LOCAL traffic for shop/balancer-local external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-PCTZKYY62SMRWZXX -m comment --comment "route LOCAL traffic for shop/balancer-local external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-PCTZKYY62SMRWZXX
-A KUBE-EXT-PCTZKYY62SMRWZXX -j KUBE-SVL-PCTZKYY62SMRWZXX
-A KUBE-EXT-PQETQBUECMHU4USA -s 10.244.1.0/24 -m comment --comment "pod traffic for shop/balancer-elsewhere external destinations" -j KUBE-SVC-PQETQBUECMHU4USA
-A KUBE-EXT-PQETQBUECMHU4USA -m comment --comment "masquerade LOCAL traffic for shop/balancer-elsewhere external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-PQETQBUECMHU4USA -m comment --comment "route LOCAL traffic for shop/balancer-elsewhere external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-PQETQBUECMHU4USA
-A KUBE-EXT-XBBYQCXYNAXOIE7F -m comment --comment "masquerade traffic for shop/external-ip external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-XBBYQCXYNAXOIE7F -j KUBE-SVC-XBBYQCXYNAXOIE7F
-A KUBE-FW-JE6YEGIXUHIWFJQU -s 203.0.113.0/24 -m comment --comment "shop/ranges loadbalancer IP" -j KUBE-EXT-JE6YEGIXUHIWFJQU
-A KUBE-FW-JE6YEGIXUHIWFJQU -s 198.51.101.9/32 -m comment --comment "shop/ranges loadbalancer IP" -j KUBE-EXT-JE6YEGIXUHIWFJQU
-A KUBE-FW-JE6YEGIXUHIWFJQU -m comment --comment "other traffic to shop/ranges will be dropped by KUBE-PROXY-FIREWALL"
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -p tcp -m comment --comment "shop/node-port" -m tcp --dport 30005 -j KUBE-EXT-JOFUSCBZDPVTP6BK
-A KUBE-NODEPORTS -p tcp -m comment --comment "shop/balancer-local" -m tcp --dport 30007 -j KUBE-EXT-PCTZKYY62SMRWZXX
-A KUBE-NODEPORTS -p tcp -m comment --comment "shop/sticky" -m tcp --dport 30010 -j KUBE-EXT-C6YCYWI3VSGSBIFB
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -m conntrack --ctstate DNAT -m bpf --bytecode "6,32 0 0 12,7 0 0 0,32 0 0 16,29 0 1 0,6 0 0 65535,6 0 0 0" -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SEP-GIHUPDD35QQR67BE -m comment --comment "shop/sticky" -j SET --add-set tsnet-proxy-4-GIHUPDD35QQR67BE src --exist --timeout 10800
-A KUBE-SEP-GIHUPDD35QQR67BE -p tcp -m comment --comment "shop/sticky" -j DNAT --to-destination 10.244.2.11:8080
-A KUBE-SEP-ODPNXBZLYFBAHZLO -m comment --comment "shop/sticky" -j SET --add-set tsnet-proxy-4-ODPNXBZLYFBAHZLO src --exist --timeout 10800
-A KUBE-SEP-ODPNXBZLYFBAHZLO -p tcp -m comment --comment "shop/sticky" -j DNAT --to-destination 10.244.1.11:8080
-A KUBE-SERVICES ! -s 10.244.1.0/24 -d 10.96.0.0/12 -m comment --comment "cluster IPs" -j KUBE-MARK-MASQ
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/dns:udp cluster IP" -m udp --dport 53 -j KUBE-SVC-5HUZLVCUKAUUSQTM
-A KUBE-SERVICES -d 10.96.1.1/32 -p tcp -m comment --comment "shop/three cluster IP" -m tcp --dport 80 -j KUBE-SVC-WWQVZKHOGBIDELFO
-A KUBE-SERVICES -d 10.96.1.3/32 -p tcp -m comment --comment "shop/internal-local cluster IP" -m tcp --dport 80 -j KUBE-SVL-O7EHPU6MNVK25NPF
-A KUBE-SERVICES -d 10.96.1.5/32 -p tcp -m comment --comment "shop/node-port cluster IP" -m tcp --dport 80 -j KUBE-SVC-JOFUSCBZDPVTP6BK
-A KUBE-SERVICES -d 10.96.1.6/32 -p tcp -m comment --comment "shop/external-ip cluster IP" -m tcp --dport 80 -j KUBE-SVC-XBBYQCXYNAXOIE7F
-A KUBE-SERVICES -d 10.96.1.7/32 -p tcp -m comment --comment "shop/balancer-local cluster IP" -m tcp --dport 80 -j KUBE-SVC-PCTZKYY62SMRWZXX
-A KUBE-SERVICES -d 10.96.1.8/32 -p tcp -m comment --comment "shop/balancer-elsewhere cluster IP" -m tcp --dport 80 -j KUBE-SVC-PQETQBUECMHU4USA
-A KUBE-SERVICES -d 10.96.1.9/32 -p tcp -m comment --comment "shop/ranges cluster IP" -m tcp --dport 80 -j KUBE-SVC-JE6YEGIXUHIWFJQU
-A KUBE-SERVICES -d 10.96.1.10/32 -p tcp -m comment --comment "shop/sticky cluster IP" -m tcp --dport 80 -j KUBE-SVC-C6YCYWI3VSGSBIFB
-A KUBE-SERVICES -d 172.16.0.1/32 -p sctp -m comment --comment "shop/signal cluster IP" -m sctp --dport 3868 -j KUBE-SVC-J5F2GEME6EMVBKM5
-A KUBE-SERVICES -d 198.51.100.6/32 -p tcp -m comment --comment "shop/external-ip external IP" -m tcp --dport 80 -j KUBE-EXT-XBBYQCXYNAXOIE7F
-A KUBE-SERVICES -d 198.51.101.7/32 -p tcp -m comment --comment "shop/balancer-local loadbalancer IP" -m tcp --dport 80 -j KUBE-EXT-PCTZKYY62SMRWZXX
-A KUBE-SERVICES -d 198.51.101.8/32 -p tcp -m comment --comment "shop/balancer-elsewhere loadbalancer IP" -m tcp --dport 80 -j KUBE-EXT-PQETQBUECMHU4USA
-A KUBE-SERVICES -d 198.51.101.9/32 -p tcp -m comment --comment "shop/ranges loadbalancer IP" -m tcp --dport 80 -j KUBE-FW-JE6YEGIXUHIWFJQU
-A KUBE-SERVICES -d 10.96.0.0/12 -m comment --comment "cluster IPs that nobody serves" -j MARK --set-xmark 0x0/0x4000
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-5HUZLVCUKAUUSQTM -p udp -j DNAT --to-destination 10.244.1.5:53
-A KUBE-SVC-C6YCYWI3VSGSBIFB -m set --match-set tsnet-proxy-4-ODPNXBZLYFBAHZLO src -j KUBE-SEP-ODPNXBZLYFBAHZLO
-A KUBE-SVC-C6YCYWI3VSGSBIFB -m set --match-set tsnet-proxy-4-GIHUPDD35QQR67BE src -j KUBE-SEP-GIHUPDD35QQR67BE
-A KUBE-SVC-C6YCYWI3VSGSBIFB -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-ODPNXBZLYFBAHZLO
-A KUBE-SVC-C6YCYWI3VSGSBIFB -j KUBE-SEP-GIHUPDD35QQR67BE
-A KUBE-SVC-J5F2GEME6EMVBKM5 ! -s 10.244.1.0/24 -d 172.16.0.1/32 -p sctp -m comment --comment "shop/signal cluster IP" -m sctp --dport 3868 -j KUBE-MARK-MASQ
-A KUBE-SVC-J5F2GEME6EMVBKM5 -p sctp -j DNAT --to-destination 10.244.2.11:8080
-A KUBE-SVC-JE6YEGIXUHIWFJQU -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.1.11:8080
-A KUBE-SVC-JE6YEGIXUHIWFJQU -p tcp -j DNAT --to-destination 10.244.2.11:8080
-A KUBE-SVC-JOFUSCBZDPVTP6BK -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.1.11:8080
-A KUBE-SVC-JOFUSCBZDPVTP6BK -p tcp -j DNAT --to-destination 10.244.2.11:8080
-A KUBE-SVC-NPX46M4PTMTKRN6Y -p tcp -j DNAT --to-destination 192.168.50.9:6443
-A KUBE-SVC-PCTZKYY62SMRWZXX -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.1.11:8080
-A KUBE-SVC-PCTZKYY62SMRWZXX -p tcp -j DNAT --to-destination 10.244.2.11:8080
-A KUBE-SVC-PQETQBUECMHU4USA -p tcp -j DNAT --to-destination 10.244.2.11:8080
-A KUBE-SVC-WWQVZKHOGBIDELFO -p tcp -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.244.1.11:8080
-A KUBE-SVC-WWQVZKHOGBIDELFO -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.2.11:8080
-A KUBE-SVC-WWQVZKHOGBIDELFO -p tcp -j DNAT --to-destination 10.244.2.12:8080
-A KUBE-SVC-XBBYQCXYNAXOIE7F -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.1.11:8080
-A KUBE-SVC-XBBYQCXYNAXOIE7F -p tcp -j DNAT --to-destination 10.244.2.11:8080
-A KUBE-SVL-O7EHPU6MNVK25NPF -p tcp -j DNAT --to-destination 10.244.1.11:8080
-A KUBE-SVL-PCTZKYY62SMRWZXX -p tcp -j DNAT --to-destination 10.244.1.11:8080
*mangle
:KUBE-PROXY-CANARY -
`;

const IPV6 = `*filter
:KUBE-NODEPORTS -
:KUBE-PROXY-CANARY -
:KUBE-PROXY-FIREWALL -
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "shop/empty has no endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30002 -j REJECT --reject-with icmp6-port-unreachable
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m conntrack --ctstate DNAT -m bpf --bytecode "18,32 0 0 8,7 0 0 0,32 0 0 24,29 0 13 0,32 0 0 12,7 0 0 0,32 0 0 28,29 0 9 0,32 0 0 16,7 0 0 0,32 0 0 32,29 0 5 0,32 0 0 20,7 0 0 0,32 0 0 36,29 0 1 0,6 0 0 65535,6 0 0 0" -j ACCEPT
-A KUBE-SERVICES -d fd00:10:96::1:2/128 -p tcp -m comment --comment "shop/empty has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp6-port-unreachable
-A KUBE-SERVICES -d fd00:10:96::1:4/128 -p tcp -m comment --comment "shop/internal-elsewhere has no local endpoints" -m tcp --dport 80 -j DROP
*nat
:KUBE-PROXY-CANARY -
:KUBE-SVC-tsnet-proxy -
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-EXT-JOFUSCBZDPVTP6BK -m comment --comment "masquerade traffic for shop/node-port external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-JOFUSCBZDPVTP6BK -j KUBE-SVC-JOFUSCBZDPVTP6BK
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -p tcp -m comment --comment "shop/node-port" -m tcp --dport 30005 -j KUBE-EXT-JOFUSCBZDPVTP6BK
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -m conntrack --ctstate DNAT -m bpf --bytecode "18,32 0 0 8,7 0 0 0,32 0 0 24,29 0 13 0,32 0 0 12,7 0 0 0,32 0 0 28,29 0 9 0,32 0 0 16,7 0 0 0,32 0 0 32,29 0 5 0,32 0 0 20,7 0 0 0,32 0 0 36,29 0 1 0,6 0 0 65535,6 0 0 0" -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SERVICES ! -s fd00:10:244:1::/64 -d fd00:10:96::/108 -m comment --comment "cluster IPs" -j KUBE-MARK-MASQ
-A KUBE-SERVICES -d fd00:10:96::1/128 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
-A KUBE-SERVICES -d fd00:10:96::a/128 -p udp -m comment --comment "kube-system/dns:udp cluster IP" -m udp --dport 53 -j KUBE-SVC-5HUZLVCUKAUUSQTM
-A KUBE-SERVICES -d fd00:10:96::1:1/128 -p tcp -m comment --comment "shop/three cluster IP" -m tcp --dport 80 -j KUBE-SVC-WWQVZKHOGBIDELFO
-A KUBE-SERVICES -d fd00:10:96::1:3/128 -p tcp -m comment --comment "shop/internal-local cluster IP" -m tcp --dport 80 -j KUBE-SVL-O7EHPU6MNVK25NPF
-A KUBE-SERVICES -d fd00:10:96::1:5/128 -p tcp -m comment --comment "shop/node-port cluster IP" -m tcp --dport 80 -j KUBE-SVC-JOFUSCBZDPVTP6BK
-A KUBE-SERVICES -d fd00:10:96::/108 -m comment --comment "cluster IPs that nobody serves" -j MARK --set-xmark 0x0/0x4000
-A KUBE-SERVICES ! -d ::1/128 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-5HUZLVCUKAUUSQTM -p udp -j DNAT --to-destination [fd00:10:244:1::5]:53
-A KUBE-SVC-JOFUSCBZDPVTP6BK -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination [fd00:10:244:1::b]:8080
-A KUBE-SVC-JOFUSCBZDPVTP6BK -p tcp -j DNAT --to-destination [fd00:10:244:2::b]:8080
-A KUBE-SVC-NPX46M4PTMTKRN6Y -p tcp -j DNAT --to-destination [2001:db8::c0:a8:32:9]:6443
-A KUBE-SVC-WWQVZKHOGBIDELFO -p tcp -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination [fd00:10:244:1::b]:8080
-A KUBE-SVC-WWQVZKHOGBIDELFO -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination [fd00:10:244:2::b]:8080
-A KUBE-SVC-WWQVZKHOGBIDELFO -p tcp -j DNAT --to-destination [fd00:10:244:2::c]:8080
-A KUBE-SVL-O7EHPU6MNVK25NPF -p tcp -j DNAT --to-destination [fd00:10:244:1::b]:8080
*mangle
:KUBE-PROXY-CANARY -
`;
