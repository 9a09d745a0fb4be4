/**
 * Subnets and whose they are, so that an overlap is found without looking at all of them.
 *
 * @module
 */
import { bitsOf, type Family } from "../lib/net/address.ts";
import { type Cidr, contains } from "../lib/net/cidr.ts";

export interface OwnedSubnet {
  readonly subnet: Cidr;
  readonly key: string;
}

export class SubnetTable {
  /** By family and prefix length, of which a network has one or two; then by what stands before the host bits. */
  readonly #byLength = new Map<
    number,
    { readonly prefix: number; readonly family: Family; readonly all: Map<bigint, OwnedSubnet> }
  >();

  add(subnet: Cidr, key: string): void {
    const { family } = subnet.address;
    let length = this.#byLength.get(lengthOf(subnet));
    if (length === undefined) {
      length = { prefix: subnet.prefix, family, all: new Map() };
      this.#byLength.set(lengthOf(subnet), length);
    }
    length.all.set(networkNumber(subnet, subnet.prefix), { subnet, key });
  }

  delete(subnet: Cidr): void {
    this.#byLength.get(lengthOf(subnet))?.all.delete(networkNumber(subnet, subnet.prefix));
  }

  clear(): void {
    this.#byLength.clear();
  }

  /** One that shares addresses with `subnet`. */
  overlapping(subnet: Cidr): OwnedSubnet | undefined {
    for (const { prefix, family, all } of this.#byLength.values()) {
      if (family !== subnet.address.family) continue;
      const found =
        prefix <= subnet.prefix
          ? all.get(networkNumber(subnet, prefix))
          : [...all.values()].find((other) => contains(subnet, other.subnet.address));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Of both families, in one number. */
function lengthOf({ address, prefix }: Cidr): number {
  return address.family * 1000 + prefix;
}

function networkNumber({ address }: Cidr, prefix: number): bigint {
  return address.value >> BigInt(bitsOf(address.family) - prefix);
}
