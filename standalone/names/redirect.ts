/**
 * Port 53 of the resolver's address, led to the port that we listen at: by a table of nftables inside the container's
 * own network namespace. So port 53 itself stays free for a server of the container's own.
 *
 * Written by netlink on a socket that is opened there: no program is started inside, and none is needed.
 *
 * @module
 */
import { parseAddress } from "../../lib/net/address.ts";
import { dnatTo } from "../../lib/nft/actions.ts";
import { partOf } from "../../lib/nft/batch.ts";
import { refusal } from "../../lib/nft/errors.ts";
import { addressIn, dportIs, protocolIs } from "../../lib/nft/matches.ts";
import { NftBatch } from "../../lib/nft/nftbatch.ts";
import { readRules, readTable } from "../../lib/nft/reading.ts";
import type { BuiltRule } from "../../lib/nft/rule.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import { talkOnce } from "../../lib/sys/nfnetlink.ts";
import { NfSocket } from "../../lib/sys/nfsocket.ts";
import { RESOLVER } from "./address.ts";

const TABLE = { family: "ip", table: "tsnet-names" } as const;
const CHAIN = { ...TABLE, chain: "output" } as const;
/** nft's `dstnat` of the hook output: where a program of the container sends to. */
const HOOK = { type: "nat", hook: "output", priority: -100 } as const;
const PROTOCOLS = ["udp", "tcp"] as const;
const DNS_PORT = 53;

/** Has port 53 lead to `port`, whatever was there of us before; does nothing where it does so already. */
export function ensureRedirect(netns: Netns, port: number): void {
  const { comment, rules } = look(netns);
  if (comment === commentFor(port) && rules === PROTOCOLS.length) return;
  const batch = new NftBatch();
  // Fine if it is there or not, then away: the new one is whole, or the old one stays.
  batch.addTable(TABLE);
  batch.deleteTable(TABLE);
  batch.addTable(TABLE, commentFor(port));
  batch.addChain(CHAIN, { hook: HOOK });
  for (const protocol of PROTOCOLS) batch.addRule(CHAIN, ruleFor(protocol, port));
  send(batch, netns);
}

/**
 * Whether the rules are there that {@link ensureRedirect} wrote: a privileged container may have flushed them. Their
 * port is not looked at, since kernels before 5.10 keep no comment of a table.
 */
export function isRedirected(netns: Netns): boolean {
  return look(netns).rules === PROTOCOLS.length;
}

/** Takes it away; fine where it is not there. */
export function removeRedirect(netns: Netns): void {
  const batch = new NftBatch();
  batch.addTable(TABLE);
  batch.deleteTable(TABLE);
  send(batch, netns);
}

function ruleFor(protocol: "udp" | "tcp", port: number): BuiltRule {
  const address = parseAddress(RESOLVER);
  return {
    statements: [
      addressIn("daddr", { address, prefix: 32 }),
      protocolIs(protocol),
      dportIs(protocol, DNS_PORT),
      dnatTo(address, port),
    ],
  };
}

/** Asks the kernel what there is of us. */
function look(netns: Netns): { readonly comment: string | undefined; readonly rules: number } {
  const socket = new NfSocket(netns);
  try {
    return { comment: readTable(socket, TABLE), rules: [...readRules(socket, TABLE)].length };
  } finally {
    socket.close();
  }
}

function commentFor(port: number): string {
  return `names are answered at port ${port} by tsnet`;
}

/** @throws TsnetError `kernel-lacks` without nftables or its NAT. */
function send(batch: NftBatch, netns: Netns): void {
  const refused = batch.send({ talk: (written, last) => talkOnce(written, last, netns) });
  if (refused === undefined) return;
  const line = refused.number === 4 ? `add chain ip ${TABLE.table} ${CHAIN.chain}` : `add table ip ${TABLE.table}`;
  throw refusal(line, refused.errno, partOf(refused));
}
