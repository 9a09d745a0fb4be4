/**
 * Reads what `conntrack -L` and `conntrack -D` print, a flow a line.
 *
 * @module
 */
import { parseAddress } from "../net/address.ts";
import type { Flow, FlowTuple } from "./conntrack.ts";

/** The flows in the text; lines that show none are left out. */
export function parseFlows(text: string): readonly Flow[] {
  return text.split("\n").flatMap((line) => parseFlow(line) ?? []);
}

/**
 * `udp 17 29 src=10.0.0.1 dst=10.0.0.9 sport=4000 dport=53 [UNREPLIED] src=10.1.0.2 dst=10.0.0.1 sport=53
 * dport=4000 mark=0 use=1`: protocol, number, seconds left, a state for some, and a tuple each way.
 */
function parseFlow(line: string): Flow | undefined {
  const [, proto = "", first, second] = /^(\w+) .*?(\bsrc=.*?)(\bsrc=.*)$/.exec(line) ?? [];
  if (first === undefined || second === undefined) return undefined;
  const [orig, reply] = [parseTuple(first), parseTuple(second)];
  if (orig === undefined || reply === undefined) return undefined;
  return { family: orig.src.family, proto, orig, reply };
}

function parseTuple(text: string): FlowTuple | undefined {
  const values = new Map([...text.matchAll(/\b(src|dst|sport|dport)=(\S+)/g)].map(([, key, value]) => [key, value]));
  const [src, dst, sport, dport] = ["src", "dst", "sport", "dport"].map((key) => values.get(key));
  if (src === undefined || dst === undefined) return undefined;
  return {
    src: parseAddress(src),
    dst: parseAddress(dst),
    ...(sport === undefined ? {} : { sport: Number(sport) }),
    ...(dport === undefined ? {} : { dport: Number(dport) }),
  };
}
