/**
 * Looks at iptables-nft's chains in the kernel without iptables: a look takes microseconds, where starting a program
 * that lists a chain takes milliseconds, and one that lists a table may take a second and a hundred megabytes.
 *
 * What a rule says stays unread, as iptables alone knows its matches: only how many there are, and where they jump.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { codeOfErrno, errnoName } from "../sys/libc.ts";
import { bindNetlink, closeFd, NETLINK_NETFILTER, openNetlink, receive, send } from "../sys/native.ts";
import { attribute, NF_HEADER_BYTES, NLM_F_ACK, zeroTerminated } from "../sys/nfnetlink.ts";
import type { IptablesTable } from "./transaction.ts";

// linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLA_TYPE_MASK = 0x3fff;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETCHAIN = 4;
const NFT_MSG_GETRULE = 7;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_VERDICT_CHAIN = 2;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_USE = 6;
const NF_DROP = 0;
const NFPROTO = { 4: 2, 6: 10 } as const;
const RECEIVE_BYTES = 64 * 1024;
const MSG_DONTWAIT = 0x40;
const TRIES = 5;

/** The rules of a chain, as far as they can be told without iptables. */
export interface ChainRules {
  readonly count: number;
  /** The numbers that the kernel gave them, each of which it gives once. */
  readonly handles: readonly bigint[];
  /** Whether a rule jumps, or goes, to `chain`. */
  readonly jumpsTo: (chain: string) => boolean;
}

/** The names of the chains of a table of iptables-nft; none if it was never used. @throws TsnetError of the kernel's. */
export function nftChains(family: 4 | 6, table: IptablesTable): readonly string[] {
  const seen = new Set<string>();
  for (let round = 0; round < TRIES; round++) {
    const names: string[] = [];
    const whole = dump(NFT_MSG_GETCHAIN, family, [], (attributes) => {
      const [of, name] = [textOf(attributes, NFTA_CHAIN_TABLE), textOf(attributes, NFTA_CHAIN_NAME)];
      if (of === table && name !== undefined) names.push(name);
    });
    if (whole) return names;
    for (const name of names) seen.add(name);
  }
  // Somebody changes rules faster than many chains can be read: what one round lacks the others have.
  return [...seen];
}

/** Whether a table of iptables-nft has this chain. @throws TsnetError of the kernel's. */
export function nftHasChain(family: 4 | 6, table: IptablesTable, chain: string): boolean {
  return nftChainUses(family, table, chain) !== undefined;
}

/**
 * How many rules a chain has and how many lead to it, taken together; undefined if there is no such chain. One look
 * at one chain, however many there are.
 *
 * @throws TsnetError of the kernel's.
 */
export function nftChainUses(family: 4 | 6, table: IptablesTable, chain: string): number | undefined {
  const wanted = [
    attribute(NFTA_CHAIN_TABLE, zeroTerminated(table)),
    attribute(NFTA_CHAIN_NAME, zeroTerminated(chain)),
  ];
  let uses: number | undefined;
  const visit = (attributes: Buffer) => {
    const found = find(attributes, NFTA_CHAIN_USE);
    uses = found === undefined ? 0 : attributes.readUInt32BE(found.at);
  };
  read(request(NFT_MSG_GETCHAIN, family, wanted, NLM_F_REQUEST | NLM_F_ACK), visit);
  return uses;
}

/** The rules of one chain; none if there is no such chain. @throws TsnetError of the kernel's. */
export function nftRules(family: 4 | 6, table: IptablesTable, chain: string): ChainRules {
  return completely(() => {
    const rules: Buffer[] = [];
    const wanted = [
      attribute(NFTA_RULE_TABLE, zeroTerminated(table)),
      attribute(NFTA_RULE_CHAIN, zeroTerminated(chain)),
    ];
    const whole = dump(NFT_MSG_GETRULE, family, wanted, (attributes) => {
      // Kernels differ in whether they narrow a dump down.
      if (textOf(attributes, NFTA_RULE_TABLE) !== table || textOf(attributes, NFTA_RULE_CHAIN) !== chain) return;
      rules.push(Buffer.from(attributes));
    });
    if (!whole) return undefined;
    // A chain's name with its closing zero: the verdict of an immediate expression, in which a rule's own chain
    // cannot stand.
    const jumpsTo = (target: string) => rules.some((rule) => rule.includes(zeroTerminated(target)));
    return { count: rules.length, handles: rules.map(handleOf), jumpsTo };
  });
}

/**
 * For each of `texts` the kernel's numbers of those rules of a chain whose bytes hold it: a comment, or what
 * {@link leadingTo} gives. None if there is no such chain.
 *
 * @throws TsnetError of the kernel's; `busy` if others change rules all the time.
 */
export function nftRulesWith(
  family: 4 | 6,
  table: IptablesTable,
  chain: string,
  texts: readonly Buffer[],
): readonly (readonly number[])[] {
  const wanted = [attribute(NFTA_RULE_TABLE, zeroTerminated(table)), attribute(NFTA_RULE_CHAIN, zeroTerminated(chain))];
  return completely(() => {
    const handles = texts.map((): number[] => []);
    const whole = dump(NFT_MSG_GETRULE, family, wanted, (attributes) => {
      const said = texts.flatMap((text, at) => (attributes.includes(text) ? [at] : []));
      if (said.length === 0) return;
      if (textOf(attributes, NFTA_RULE_TABLE) !== table || textOf(attributes, NFTA_RULE_CHAIN) !== chain) return;
      for (const at of said) handles[at]?.push(Number(handleOf(attributes)));
    });
    return whole ? handles : undefined;
  });
}

/** What is in the bytes of a rule that leads to a chain, and in none that only names it in a comment. */
export function leadingTo(chain: string): Buffer {
  return attribute(NFTA_VERDICT_CHAIN, zeroTerminated(chain)).subarray(0, 4 + chain.length + 1);
}

/** What becomes of packets that pass a built-in chain's rules; undefined if there is no such chain. @throws TsnetError of the kernel's. */
export function nftPolicy(family: 4 | 6, table: IptablesTable, chain: string): "ACCEPT" | "DROP" | undefined {
  return completely(() => {
    let policy: "ACCEPT" | "DROP" | undefined;
    const whole = dump(NFT_MSG_GETCHAIN, family, [], (attributes) => {
      if (textOf(attributes, NFTA_CHAIN_TABLE) !== table || textOf(attributes, NFTA_CHAIN_NAME) !== chain) return;
      const verdict = find(attributes, NFTA_CHAIN_POLICY);
      if (verdict !== undefined) policy = attributes.readUInt32BE(verdict.at) === NF_DROP ? "DROP" : "ACCEPT";
    });
    return whole ? { policy } : undefined;
  }).policy;
}

const TABLES = new Set(["raw", "mangle", "nat", "filter", "security"]);
const BUILT_IN = new Set(["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]);

/**
 * Whether iptables-nft's tables of a family hold a rule, or drop by their policy. Undefined where iptables alone can
 * tell: somebody else has tables of these names, with chains of other names at the hooks.
 *
 * @throws TsnetError of the kernel's.
 */
export function nftHoldsRules(family: 4 | 6): boolean | undefined {
  return completely(() => {
    let holds = false;
    let isForeign = false;
    const whole = dump(NFT_MSG_GETCHAIN, family, [], (attributes) => {
      if (!TABLES.has(textOf(attributes, NFTA_CHAIN_TABLE) ?? "")) return;
      const [policy, use] = [find(attributes, NFTA_CHAIN_POLICY), find(attributes, NFTA_CHAIN_USE)];
      const isHooked = find(attributes, NFTA_CHAIN_HOOK) !== undefined;
      if (isHooked && !BUILT_IN.has(textOf(attributes, NFTA_CHAIN_NAME) ?? "")) isForeign = true;
      // Its rules, and the jumps that lead to it.
      if (use !== undefined && attributes.readUInt32BE(use.at) > 0) holds = true;
      if (policy !== undefined && attributes.readUInt32BE(policy.at) === NF_DROP) holds = true;
    });
    return whole ? { answer: isForeign && holds ? undefined : holds } : undefined;
  }).answer;
}

/** A dump that a change interrupts is begun again. */
function completely<T>(read: () => T | undefined): T {
  for (let round = 0; round < TRIES; round++) {
    const found = read();
    if (found !== undefined) return found;
  }
  throw new TsnetError("the rules change faster than they can be read: try again", { code: "busy", op: "nft dump" });
}

/** False if a change made it inconsistent. */
function dump(message: number, family: 4 | 6, wanted: readonly Buffer[], visit: (attributes: Buffer) => void): boolean {
  return read(request(message, family, wanted, NLM_F_REQUEST | NLM_F_DUMP), visit);
}

/** Sends a request and visits what answers it. False if a change made that inconsistent. */
function read(question: Buffer, visit: (attributes: Buffer) => void): boolean {
  const fd = openNetlink(NETLINK_NETFILTER);
  try {
    bindNetlink(fd, 0);
    send(fd, question);
    const buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
    for (let whole = true; ; ) {
      const datagram = buffer.subarray(0, receive(fd, buffer, MSG_DONTWAIT));
      for (let at = 0; at + 16 <= datagram.length; at += Math.max((datagram.readUInt32LE(at) + 3) & ~3, 16)) {
        const type = datagram.readUInt16LE(at + 4);
        if ((datagram.readUInt16LE(at + 6) & NLM_F_DUMP_INTR) !== 0) whole = false;
        if (type === NLMSG_DONE) return whole;
        if (type === NLMSG_ERROR) {
          const number = -datagram.readInt32LE(at + 16);
          // All is said.
          if (number === 0) return whole;
          const errno = errnoName(number);
          // Of a table or chain that is not there.
          if (errno === "ENOENT") return whole;
          throw refused(errno);
        }
        visit(datagram.subarray(at + NF_HEADER_BYTES, at + datagram.readUInt32LE(at)));
      }
    }
  } finally {
    closeFd(fd);
  }
}

function request(message: number, family: 4 | 6, attributes: readonly Buffer[], flags: number): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(NF_HEADER_BYTES), ...attributes]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE((NFNL_SUBSYS_NFTABLES << 8) | message, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(1, 8);
  bytes.writeUInt8(NFPROTO[family], 16);
  return bytes;
}

function textOf(attributes: Buffer, wanted: number): string | undefined {
  const found = find(attributes, wanted);
  // Less the closing zero.
  return found === undefined ? undefined : attributes.toString("latin1", found.at, found.at + found.length - 1);
}

function handleOf(rule: Buffer): bigint {
  const found = find(rule, NFTA_RULE_HANDLE);
  return found === undefined ? 0n : rule.readBigUInt64BE(found.at);
}

function find(attributes: Buffer, wanted: number): { readonly at: number; readonly length: number } | undefined {
  for (let at = 0; at + 4 <= attributes.length; at += Math.max((attributes.readUInt16LE(at) + 3) & ~3, 4)) {
    if ((attributes.readUInt16LE(at + 2) & NLA_TYPE_MASK) !== wanted) continue;
    return { at: at + 4, length: attributes.readUInt16LE(at) - 4 };
  }
  return undefined;
}

function refused(errno: string): TsnetError {
  return new TsnetError(`cannot list iptables' rules: ${errno}`, { code: codeOfErrno(errno), op: "nft dump", errno });
}
