/**
 * Compares every element that the kernel holds with what the committed table implies, without holding either: both are
 * summed up, an element being a number made of its bytes. Only for a set whose sums differ it is found out which.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../../lib/errors.ts";
import { elementText } from "../../lib/nft/elementtext.ts";
import { type NftElementView, readElements } from "../../lib/nft/reading.ts";
import type { NfSocket } from "../../lib/sys/nfsocket.ts";
import { NfWriter } from "../../lib/sys/nfwriter.ts";
import { type Committed, setHairpin } from "./committed.ts";
import { type Element, visitService } from "./elements.ts";
import { listSets, type ProxySet } from "./sets.ts";
import { writeKey, writeKeyEnd, writeValue } from "./write.ts";

// Other work of the process waits no longer than this for one stretch.
const STRETCH_MS = 5;
const CHECK_EVERY = 256;
const TRIES = 3;
// A report that somebody may read to its end.
const LINES = 1000;

/** What is missing or too much, a line each. @throws TsnetError `busy` if the table kept changing. */
export async function auditElements(socket: NfSocket, committed: Committed): Promise<readonly string[]> {
  const expected = await expectedSums(committed);
  const lines: string[] = [];
  for (const { set, sum } of expected.values()) {
    const found = await foundSum(socket, set);
    if (found === undefined) lines.push(`${set.name} is missing`);
    else if (!isEqual(found, sum)) lines.push(...(await differences(socket, committed, set)));
    if (lines.length > LINES) break;
  }
  if (lines.length <= LINES) return lines;
  return [...lines.slice(0, LINES), `... and more`];
}

/** A number of elements, and two sums of what they hash to. */
interface Sum {
  count: number;
  first: number;
  second: number;
}

async function expectedSums(committed: Committed) {
  const sums = new Map<string, { readonly set: ProxySet; readonly sum: Sum }>();
  const sumOf = (set: ProxySet) => {
    let entry = sums.get(set.name);
    if (entry === undefined) {
      entry = { set, sum: { count: 0, first: 0, second: 0 } };
      sums.set(set.name, entry);
    }
    return entry.sum;
  };
  for (const set of listSets(committed.context.sets)) sumOf(set);
  const bytes = new ElementBytes();
  await eachElement(committed, (element) => {
    bytes.write(element);
    addTo(sumOf(element.set), bytes.key, bytes.value);
  });
  return sums;
}

async function foundSum(socket: NfSocket, set: ProxySet): Promise<Sum | undefined> {
  for (let tries = 1; ; tries++) {
    const sum: Sum = { count: 0, first: 0, second: 0 };
    try {
      await eachFound(socket, set, (view) => addTo(sum, keyBytes(view), valueBytes(view)));
      return sum;
    } catch (error) {
      if (isTsnetError(error, "not-found")) return undefined;
      if (!isTsnetError(error, "busy") || tries === TRIES) throw error;
    }
  }
}

/** Of one set only: what should be there, less what is. */
async function differences(socket: NfSocket, committed: Committed, set: ProxySet): Promise<readonly string[]> {
  const missing = new Map<string, string>();
  const bytes = new ElementBytes();
  await eachElement(committed, (element) => {
    if (element.set.name !== set.name) return;
    bytes.write(element);
    missing.set(bytes.key.toString("latin1"), bytes.value.toString("latin1"));
  });
  const lines: string[] = [];
  await eachFound(socket, set, (view) => {
    const key = keyBytes(view).toString("latin1");
    const wanted = missing.get(key);
    missing.delete(key);
    if (lines.length > LINES) return;
    if (wanted === undefined) lines.push(`${set.name} has ${elementText(set, view)} too much`);
    else if (wanted !== valueBytes(view).toString("latin1"))
      lines.push(`${set.name} has ${elementText(set, view)} instead of another value`);
  });
  for (const [key, value] of missing) {
    if (lines.length > LINES) break;
    lines.push(
      `${set.name} lacks ${elementText(set, viewOf(set, Buffer.from(key, "latin1"), Buffer.from(value, "latin1")))}`,
    );
  }
  return lines;
}

/** Tells every element that there should be, once. */
async function eachElement(
  { table, context, hairpins }: Committed,
  visit: (element: Readonly<Element>) => void,
): Promise<void> {
  const { hairpin, clusterIPs } = context.sets;
  const seen = new Set<string>();
  const breath = new Breath();
  const visitor = {
    element(element: Readonly<Element>) {
      if (element.set === hairpin) return;
      if (element.set === clusterIPs) {
        if (seen.has(element.address)) return;
        seen.add(element.address);
      }
      visit(element);
    },
    shared: () => {},
  };
  for (const ports of table.services.values()) {
    visitService(ports, context, visitor);
    if (breath.due()) await breath.take();
  }
  const element: Element = {
    set: hairpin,
    address: "",
    protocol: "tcp",
    port: 0,
    index: 0,
    source: "",
    target: "",
    targetPort: 0,
    comment: "",
  };
  for (const key of hairpins.keys()) {
    setHairpin(element, key);
    visit(element);
  }
}

async function eachFound(socket: NfSocket, set: ProxySet, visit: (view: NftElementView) => void): Promise<void> {
  const breath = new Breath();
  for (const view of readElements(socket, set)) {
    visit(view);
    if (breath.due()) await breath.take();
  }
}

/** Lets other work go on in between. */
class Breath {
  #count = 0;
  #since = performance.now();

  due(): boolean {
    return ++this.#count % CHECK_EVERY === 0 && performance.now() - this.#since > STRETCH_MS;
  }

  async take(): Promise<void> {
    await new Promise(setImmediate);
    this.#since = performance.now();
  }
}

/** An element as the kernel tells it: of a range both keys. */
class ElementBytes {
  readonly #writer = new NfWriter(256);
  key: Buffer = Buffer.alloc(0);
  value: Buffer = Buffer.alloc(0);

  write(element: Readonly<Element>): void {
    this.#writer.truncate(0);
    writeKey(this.#writer, element);
    if (element.set.flags?.includes("interval") === true) writeKeyEnd(this.#writer, element);
    const keyLength = this.#writer.length;
    writeValue(this.#writer, element);
    const written = this.#writer.written();
    this.key = written.subarray(0, keyLength);
    this.value = written.subarray(keyLength);
  }
}

function keyBytes({ bytes, key, keyLength, keyEnd, keyEndLength }: NftElementView): Buffer {
  const first = bytes.subarray(key, key + keyLength);
  return keyEndLength === 0 ? first : Buffer.concat([first, bytes.subarray(keyEnd, keyEnd + keyEndLength)]);
}

function valueBytes({ bytes, value, valueLength }: NftElementView): Buffer {
  return bytes.subarray(value, value + valueLength);
}

function viewOf(set: ProxySet, keys: Buffer, value: Buffer): NftElementView {
  const isRange = set.flags?.includes("interval") === true;
  const keyLength = isRange ? keys.length / 2 : keys.length;
  return {
    bytes: Buffer.concat([keys, value]),
    key: 0,
    keyLength,
    keyEnd: keyLength,
    keyEndLength: keys.length - keyLength,
    value: keys.length,
    valueLength: value.length,
  };
}

// FNV-1a, from two beginnings: 64 bits, of which sums are taken.
const PRIME = 0x01000193;
const BASIS = 0x811c9dc5;
const OTHER_BASIS = 0x9747b28c;

function addTo(sum: Sum, key: Buffer, value: Buffer): void {
  sum.count++;
  sum.first = (sum.first + hash(hash(BASIS, key), value)) | 0;
  sum.second = (sum.second + hash(hash(OTHER_BASIS, value), key)) | 0;
}

function hash(basis: number, bytes: Buffer): number {
  let value = basis;
  for (let i = 0; i < bytes.length; i++) value = Math.imul(value ^ (bytes[i] ?? 0), PRIME);
  return value;
}

function isEqual(a: Sum, b: Sum): boolean {
  return a.count === b.count && a.first === b.first && a.second === b.second;
}

/** The error of whoever audits what was not committed. */
export function nothingCommitted(): TsnetError {
  return new TsnetError("nothing is committed that could be audited", { code: "busy", op: "nftables audit" });
}
