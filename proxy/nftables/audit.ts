/**
 * Compares every element that the kernel holds with what the committed table implies, without holding either: both are
 * summed up, an element being a number made of its bytes. Only for a set whose sums differ it is found out which.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../../lib/errors.ts";
import { elementText } from "../../lib/nft/elementtext.ts";
import { type NftElementView, readElements, visitElements } from "../../lib/nft/reading.ts";
import type { NfSocket } from "../../lib/sys/nfsocket.ts";
import { NfWriter } from "../../lib/sys/nfwriter.ts";
import { type Committed, countedKey, setCounted } from "./committed.ts";
import { blankElement, type Element, ServiceVisit } from "./elements.ts";
import { listSets, type ProxySet } from "./sets.ts";
import { writeKey, writeKeyEnd, writeValue } from "./write.ts";

// Other work of the process waits no longer than this for one stretch.
const STRETCH_MS = 5;
const CHECK_EVERY = 16;
const TRIES = 3;
// A report that somebody may read to its end.
const LINES = 1000;

/** What is missing or too much, a line each. */
export async function auditElements(socket: NfSocket, committed: Committed): Promise<readonly string[]> {
  const expected = await expectedSums(committed);
  const lines: string[] = [];
  for (const { set, sum } of expected.values()) {
    const found = await foundSum(socket, set, sum);
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
    addTo(sumOf(element.set), bytes);
  });
  return sums;
}

/** Read again if somebody changed rules meanwhile, unless it is what is wanted: nearly always they are not ours. */
async function foundSum(socket: NfSocket, set: ProxySet, wanted: Sum): Promise<Sum | undefined> {
  for (let tries = 1; ; tries++) {
    const sum: Sum = { count: 0, first: 0, second: 0 };
    try {
      await eachFound(socket, set, (view) => addTo(sum, view));
    } catch (error) {
      if (isTsnetError(error, "not-found")) return undefined;
      throw error;
    }
    if (!socket.interrupted || isEqual(sum, wanted) || tries === TRIES) return sum;
  }
}

/** Of one set only: what should be there, less what is. */
async function differences(socket: NfSocket, committed: Committed, set: ProxySet): Promise<readonly string[]> {
  const missing = new Map<string, string>();
  const bytes = new ElementBytes();
  await eachElement(committed, (element) => {
    if (element.set.name !== set.name) return;
    bytes.write(element);
    missing.set(keyText(bytes), valueText(bytes));
  });
  const lines: string[] = [];
  const tell = (line: string) => {
    if (lines.length <= LINES) lines.push(`${set.name} ${line}`);
  };
  await eachFound(socket, set, (view) => {
    const key = keyText(view);
    const wanted = missing.get(key);
    missing.delete(key);
    if (wanted === undefined) tell(`has ${elementText(set, view)} too much`);
    else if (wanted !== valueText(view)) tell(`has ${elementText(set, view)} instead of another value`);
  });
  for (const [key, value] of missing) tell(`lacks ${elementText(set, viewOf(set, key, value))}`);
  return lines;
}

/** Tells every element that there should be, once. */
async function eachElement(
  { table, context, counted }: Committed,
  visit: (element: Readonly<Element>) => void,
): Promise<void> {
  const breath = new Breath();
  const visitor = {
    element(element: Readonly<Element>) {
      if (countedKey(element, context) === undefined) visit(element);
    },
  };
  const services = new ServiceVisit(context, visitor);
  for (const ports of table.services.values()) {
    services.visit(ports);
    if (breath.due()) await breath.take();
  }
  const element = blankElement(context.sets.hairpin);
  for (const key of counted.keys()) {
    setCounted(element, key, context);
    visit(element);
  }
}

async function eachFound(socket: NfSocket, set: ProxySet, visit: (view: NftElementView) => void): Promise<void> {
  const breath = new Breath();
  for (const message of readElements(socket, set)) {
    visitElements(message, visit);
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

/** An element as the kernel would tell it: of a range both keys. */
class ElementBytes implements NftElementView {
  readonly #writer = new NfWriter(256);
  readonly key = 0;
  keyLength = 0;
  keyEnd = 0;
  keyEndLength = 0;
  value = 0;
  valueLength = 0;

  get bytes(): Uint8Array {
    return this.#writer.bytes;
  }

  write(element: Readonly<Element>): void {
    const writer = this.#writer;
    writer.truncate(0);
    writeKey(writer, element);
    this.keyLength = this.keyEnd = writer.length;
    if (element.set.flags?.includes("interval") === true) writeKeyEnd(writer, element);
    this.keyEndLength = writer.length - this.keyEnd;
    this.value = writer.length;
    writeValue(writer, element);
    this.valueLength = writer.length - this.value;
  }
}

function keyText({ bytes, key, keyLength, keyEnd, keyEndLength }: NftElementView): string {
  return textOf(bytes, key, keyLength) + textOf(bytes, keyEnd, keyEndLength);
}

function valueText({ bytes, value, valueLength }: NftElementView): string {
  return textOf(bytes, value, valueLength);
}

function textOf(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString("latin1");
}

function viewOf(set: ProxySet, keys: string, value: string): NftElementView {
  const isRange = set.flags?.includes("interval") === true;
  const keyLength = isRange ? keys.length / 2 : keys.length;
  return {
    bytes: Buffer.from(keys + value, "latin1"),
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
const OTHER_PRIME = 0x85ebca6b;
const BASIS = 0x811c9dc5;
const OTHER_BASIS = 0x9747b28c;

function addTo(sum: Sum, { bytes, key, keyLength, keyEnd, keyEndLength, value, valueLength }: NftElementView): void {
  let first = BASIS;
  let second = OTHER_BASIS;
  const take = (at: number, length: number) => {
    for (let i = at; i < at + length; i++) {
      first = Math.imul(first ^ (bytes[i] ?? 0), PRIME);
      second = Math.imul(second ^ (bytes[i] ?? 0), OTHER_PRIME);
    }
  };
  take(key, keyLength);
  take(keyEnd, keyEndLength);
  take(value, valueLength);
  sum.count++;
  sum.first = (sum.first + first) | 0;
  sum.second = (sum.second + second) | 0;
}

function isEqual(a: Sum, b: Sum): boolean {
  return a.count === b.count && a.first === b.first && a.second === b.second;
}

/** The error of whoever audits what was not committed. */
export function nothingCommitted(): TsnetError {
  return new TsnetError("nothing is committed that could be audited", { code: "busy", op: "nftables audit" });
}
