/**
 * Elements of services as the bytes that the kernel compares, straight into a batch.
 *
 * @module
 */
import { addressBytes, type Family } from "../../lib/net/address.ts";
import { firstOf, lastOf, parseCidr } from "../../lib/net/cidr.ts";
import { writeVerdictParts } from "../../lib/nft/actions.ts";
import { NftElementList } from "../../lib/nft/elementlist.ts";
import { protocolNumber } from "../../lib/nft/expressions.ts";
import type { ElementVerb, NftBatch } from "../../lib/nft/nftbatch.ts";
import type { NfWriter } from "../../lib/sys/nfwriter.ts";
import type { Element } from "./elements.ts";

/** Writes elements of any sets in any order. */
export class ElementWriter {
  readonly #batch: NftBatch;
  readonly #verb: ElementVerb;
  readonly #lists = new Map<string, NftElementList>();

  constructor(batch: NftBatch, verb: ElementVerb) {
    this.#batch = batch;
    this.#verb = verb;
  }

  write(element: Readonly<Element>): void {
    const { set } = element;
    const list = this.#listOf(element);
    list.open();
    list.openKey();
    writeKey(list.writer, element);
    list.closeValue();
    if (set.flags?.includes("interval") === true) {
      list.openKeyEnd();
      writeKeyEnd(list.writer, element);
      list.closeValue();
    }
    if (this.#verb !== "delete") this.#writeRest(list, element);
    list.close();
  }

  /** Puts into the batch what is still held back for company. */
  flush(): void {
    for (const list of this.#lists.values()) list.flush();
  }

  #writeRest(list: NftElementList, element: Readonly<Element>): void {
    const { set, target, comment } = element;
    if (set.holds === "verdict") {
      if (target === "") list.verdict("drop");
      else list.verdict("goto", target);
    } else if (set.holds === "endpoint") {
      list.openValue();
      writeEndpoint(list.writer, element);
      list.closeValue();
    }
    if (comment !== "") list.comment(comment);
  }

  #listOf({ set }: Readonly<Element>): NftElementList {
    let list = this.#lists.get(set.name);
    if (list === undefined) {
      list = new NftElementList(this.#batch, this.#verb, set);
      this.#lists.set(set.name, list);
    }
    return list;
  }
}

/** The fields of an element's key; of a range the first ones. */
export function writeKey(writer: NfWriter, element: Readonly<Element>): void {
  writeFields(writer, element, "first");
}

export function writeKeyEnd(writer: NfWriter, element: Readonly<Element>): void {
  writeFields(writer, element, "last");
}

/** The value's fields; of a verdict what the kernel tells it by. */
export function writeValue(writer: NfWriter, element: Readonly<Element>): void {
  if (element.set.holds === "endpoint") writeEndpoint(writer, element);
  else if (element.set.holds === "verdict") {
    if (element.target === "") writeVerdictParts(writer, "drop");
    else writeVerdictParts(writer, "goto", element.target);
  }
}

function writeFields(writer: NfWriter, element: Readonly<Element>, end: "first" | "last"): void {
  const family = element.set.family === "ip" ? 4 : 6;
  for (const role of element.set.roles) {
    switch (role) {
      case "address":
      case "pair":
        writeAddress(writer, family, element.address);
        break;
      case "protocol":
        writer.u8(protocolNumber(element.protocol));
        writer.pad();
        break;
      case "port":
        writer.u16(element.port);
        writer.pad();
        break;
      case "index":
        writer.hostU32(element.index);
        break;
      case "source":
        writer.raw(addressBytes((end === "first" ? firstOf : lastOf)(parseCidr(element.source))));
    }
  }
}

function writeEndpoint(writer: NfWriter, { set, target, targetPort }: Readonly<Element>): void {
  writeAddress(writer, set.family === "ip" ? 4 : 6, target);
  writer.u16(targetPort);
  writer.pad();
}

function writeAddress(writer: NfWriter, family: Family, text: string): void {
  if (family === 4) writer.ipv4(text);
  else writer.ipv6(text);
}
