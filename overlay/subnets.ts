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
    string,
    { readonly prefix: number; readonly family: Family; readonly all: Map<bigint, OwnedSubnet> }
  >();

  add(subnet: Cidr, key: string): void {
    const { family } = subnet.address;
    const name = `${family}/${subnet.prefix}`;
    const length = this.#byLength.get(name) ?? { prefix: subnet.prefix, family, all: new Map() };
    this.#byLength.set(name, length);
    length.all.set(networkNumber(subnet, subnet.prefix), { subnet, key });
  }

  delete(subnet: Cidr): void {
    this.#byLength.get(`${subnet.address.family}/${subnet.prefix}`)?.all.delete(networkNumber(subnet, subnet.prefix));
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

function networkNumber({ address }: Cidr, prefix: number): bigint {
  return address.value >> BigInt(bitsOf(address.family) - prefix);
}
