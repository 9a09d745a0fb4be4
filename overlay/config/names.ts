/**
 * The flags: flannel's by its names (0.28), and ours beside them. Data alone, since the command line reads it to know
 * which flags there are, and the agent to know what they mean.
 *
 * Each of flannel's is also read from the environment, `FLANNELD_` and its name in capitals.
 *
 * @module
 */
import type { GoFlag } from "../../lib/daemon/flags.ts";

export interface Flag extends GoFlag {
  /** Why giving it changes nothing. */
  readonly idle?: string;
}

const KLOG = "it tunes flannel's own logger";

/** By name, without the dashes. */
export const FLAGS: Readonly<Record<string, Flag>> = {
  "kube-subnet-mgr": { kind: "bool", help: "hosts are the Nodes of Kubernetes" },
  hosts: {
    kind: "text",
    help: "file of the network and its hosts, watched for changes (default /etc/tsnet/overlay.yaml)",
    ours: true,
  },
  "etcd-endpoints": {
    kind: "list",
    help: "hosts have leases in etcd, at these URLs (default with other etcd flags: http://127.0.0.1:2379)",
  },
  "etcd-prefix": { kind: "text", help: "where in etcd (default /coreos.com/network)" },
  "etcd-cafile": { kind: "text", help: "authority that etcd's certificate is of, PEM" },
  "etcd-certfile": { kind: "text", help: "our certificate for etcd, PEM" },
  "etcd-keyfile": { kind: "text", help: "its key, PEM" },
  "etcd-username": { kind: "text", help: "user in etcd" },
  "etcd-password": { kind: "text", help: "its password; FLANNELD_ETCD_PASSWORD keeps it out of ps" },
  "subnet-lease-renew-margin": {
    kind: "int",
    help: "minutes before its end that the lease is renewed, 1 to 1439 (default 60)",
  },
  "subnet-lease-ttl": { kind: "duration", help: "how long the lease lasts unrenewed (default 24h)", ours: true },

  "kubeconfig-file": { kind: "text", help: "how to reach the API server; not needed in a pod" },
  "kube-api-url": { kind: "text", help: "address of the API server, over that of the kubeconfig" },
  "kube-annotation-prefix": {
    kind: "text",
    help: "what our annotations of Nodes begin with (default flannel.alpha.coreos.com)",
  },
  "net-config-path": {
    kind: "text",
    help: "with Kubernetes: file of the network config (default /etc/kube-flannel/net-conf.json)",
  },
  "set-node-network-unavailable": {
    kind: "bool",
    help: "tell Kubernetes that the Node's network works once it does (default true)",
  },
  "node-name": {
    kind: "text",
    help: "name of this host: its Node, its entry in --hosts (default NODE_NAME with Kubernetes, else the host's name)",
    ours: true,
  },

  iface: { kind: "each", help: "interface to the other hosts, by name or address; again for the next to try" },
  "iface-regex": { kind: "each", help: "expression for its name or address, tried after --iface; again for the next" },
  "iface-can-reach": { kind: "text", help: "the interface that leads to this address, tried last" },
  "public-ip": { kind: "text", help: "IPv4 address that others reach this host at, if not the interface's" },
  "public-ipv6": { kind: "text", help: "the same of IPv6" },

  "ip-masq": { kind: "bool", help: "what leaves the cluster leaves with the host's address (default true)" },
  "ip-masq-fully-random-disable": { kind: "bool", help: "no random source ports for that" },
  "iptables-forward-rules": { kind: "bool", help: "accept what is forwarded from and to containers (default true)" },
  "iptables-resync": { kind: "int", help: "--compare-period in seconds" },
  "ip-blackhole-route": { kind: "bool", help: "a blackhole route for this host's subnet" },
  firewall: {
    kind: "text",
    help: "iptables or nftables (default: as the network's EnableNFTables, else what the host has)",
    ours: true,
  },

  "subnet-file": { kind: "text", help: "where other tools read our subnet (default /run/flannel/subnet.env)" },
  "cni-conflist": {
    kind: "text",
    help: "CNI list to write; empty: none (default /etc/cni/net.d/10-tsnet.conflist)",
    ours: true,
  },
  "cni-network": { kind: "text", help: "name of the network in it (default tsnet)", ours: true },
  "cni-bridge": { kind: "text", help: "bridge of the containers (default cni0)", ours: true },
  "state-dir": { kind: "text", help: "what ends with the boot (default /run/tsnet/overlay)", ours: true },
  "data-dir": { kind: "text", help: "what stays (default /var/lib/tsnet/overlay)", ours: true },

  "healthz-ip": { kind: "text", help: "address of /healthz and /readyz (default 0.0.0.0)" },
  "healthz-port": { kind: "int", help: "port of them; 0: nowhere (default 0)" },
  "metrics-bind-address": { kind: "text", help: "address and port of /metrics; empty: nowhere (default)", ours: true },
  "compare-period": { kind: "duration", help: "how often all is compared with the kernel (default 30s)", ours: true },
  "probe-period": {
    kind: "duration",
    help: "how often every peer is probed; 0: never (default 1m)",
    ours: true,
  },
  "replace-lease": {
    kind: "bool",
    help: "take the lease that our address has, though another MAC holds it: this host was set up anew",
    ours: true,
  },
  cleanup: { kind: "bool", help: "remove everything that the agent has made on this host, and end", ours: true },
  "logging-format": { kind: "text", help: "text or json (default text)", ours: true },
  v: { kind: "int", help: "how much to log: 2 every comparison, 4 every entry (default 0)" },
  version: { kind: "bool", help: "print the version and end" },

  vmodule: { kind: "text", help: "accepted", idle: KLOG },
  "log-backtrace-at": { kind: "text", help: "accepted", idle: KLOG },
};
