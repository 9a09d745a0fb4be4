/**
 * What the overlay's parts speak of: the network that all hosts share, and who of them has which part of it.
 *
 * @module
 */
import type { Address, Family } from "../lib/net/address.ts";
import type { Cidr } from "../lib/net/cidr.ts";

/** Something of each family that the network has: 4, 6 or both. */
export type Parts<T> = { readonly [F in Family]?: T };

/** How packets go from host to host. */
export type Backend = VxlanBackend | HostGwBackend;

export interface VxlanBackend {
  readonly type: "vxlan";
  /** 1 to 16,777,215 (RFC 7348, section 5). */
  readonly vni: number;
  /** UDP, 8472 unless the network says otherwise, as the kernel has it. */
  readonly port: number;
  /** Bytes, of the VXLAN device; undefined: the underlay's less what VXLAN adds. */
  readonly mtu: number | undefined;
  /** Whether the device learns where a MAC is from what it receives. */
  readonly learning: boolean;
  /** Group based policy extension: marks travel with the packets. */
  readonly gbp: boolean;
  /** Peers on the same link as we get a plain route. */
  readonly directRouting: boolean;
  /** Whether checksums are left to the network card. Off for cards that get those of tunnelled packets wrong. */
  readonly checksumOffload: boolean;
}

export interface HostGwBackend {
  readonly type: "host-gw";
  /** Bytes, of containers; undefined: the underlay's. */
  readonly mtu: number | undefined;
}

/** The network that all hosts share: flannel's net-conf.json, read. */
export interface NetworkConfig {
  /** At least one family. */
  readonly networks: Parts<Cidr>;
  /** From what hosts' subnets are taken, where nobody else assigns them. */
  readonly pools: Parts<SubnetPool>;
  readonly backend: Backend;
  /** EnableNFTables; undefined: whatever this host has. */
  readonly nftables: boolean | undefined;
}

export interface SubnetPool {
  /** Prefix length of a host's subnet, in bits. */
  readonly length: number;
  /** First address of the first and of the last subnet. */
  readonly min: Address;
  readonly max: Address;
}

/** One family of a host: the part of the network that is its, and where its packets are sent. */
export interface LeasePart {
  /** With no host bits: `10.244.1.0/24`. */
  readonly subnet: Cidr;
  /** The host's address on the underlay, of the same family. */
  readonly address: Address;
  /** Its VTEP's, `aa:bb:cc:dd:ee:ff`; undefined without VXLAN. */
  readonly mac: string | undefined;
}

/** What a host has, as a source of peers tells it. */
export interface Lease {
  /** Unique in its source: a node's name, an etcd key. */
  readonly key: string;
  /** What people know the host by, for messages. */
  readonly host: string;
  readonly backend: Backend["type"];
  /** Undefined without VXLAN. */
  readonly vni: number | undefined;
  readonly parts: Parts<LeasePart>;
}

/** What this host offers, and asks a subnet for. */
export interface Claim {
  /** This host's name. */
  readonly host: string;
  readonly backend: Backend["type"];
  readonly vni: number | undefined;
  readonly parts: Parts<Omit<LeasePart, "subnet">>;
  /** What it had before; wanted again. */
  readonly previous: Parts<Cidr>;
  /** Containers have addresses of `previous`: no other subnet will do. */
  readonly pinned: boolean;
  /** All addresses of this host, where they are known: what it once told others and is not one of them leads astray. */
  readonly present?: readonly Address[];
}

/** The interface that leads to the other hosts. */
export interface Underlay {
  readonly index: number;
  readonly name: string;
  /** Bytes. */
  readonly mtu: number;
  /** This host's address on it, of each family that is used. */
  readonly addresses: Parts<Address>;
  /** What others are told, where that differs: behind a NAT. Otherwise the same. */
  readonly publicAddresses: Parts<Address>;
}
