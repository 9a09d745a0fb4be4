/**
 * A change to the kernel's IP sets as a list of ipset's own commands, rendered to one input of `ipset restore -exist`:
 * making what is there alike and removing what is not there are fine.
 *
 * The commands are not atomic together: where one fails, those before it are done.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

/** A set of addresses, each with a time-out of its own. */
export interface AddressSet {
  readonly name: string;
  readonly family: 4 | 6;
  /** How many addresses it takes at most; one more is left out. 65,536 unless given. */
  readonly most?: number;
}

// The kernel enlarges a set only when a program adds to it: what a rule adds to a full bucket (of 12) is lost in
// silence. This holds some 12,000 addresses before the first is, and takes 32 KB while it is empty.
const HASH_SIZE = 4096;

export class IpsetTransaction {
  readonly #lines: string[] = [];

  /** Whether no command was queued. */
  get empty(): boolean {
    return this.#lines.length === 0;
  }

  /**
   * `create NAME hash:ip ... timeout 0`: entries stay until they are told a time-out. One that is there in the same
   * form keeps its entries. Fails with `exists` where it is of another form; another family is not noticed.
   */
  create({ name, family, most = 65_536 }: AddressSet): this {
    const form = `family ${family === 4 ? "inet" : "inet6"} hashsize ${HASH_SIZE} maxelem ${most} timeout 0`;
    return this.#push(`create ${checked(name)} hash:ip ${form}`);
  }

  /** `flush`: takes all entries out. Fails with `not-found`. */
  flush(name: string): this {
    return this.#push(`flush ${checked(name)}`);
  }

  /** `destroy`. Fails with `busy` while a rule refers to it. */
  destroy(name: string): this {
    return this.#push(`destroy ${checked(name)}`);
  }

  /** The text for `ipset restore`. */
  render(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }

  #push(line: string): this {
    this.#lines.push(line);
    return this;
  }
}

function checked(name: string): string {
  // IPSET_MAXNAMELEN less the closing zero, linux/netfilter/ipset/ip_set.h
  if (/^[\w.-]{1,31}$/.test(name)) return name;
  throw new TsnetError(`not a name of a set: ${JSON.stringify(name)}: 1 to 31 of A-Z a-z 0-9 _ . -`, {
    code: "invalid",
    op: "ipset",
  });
}
