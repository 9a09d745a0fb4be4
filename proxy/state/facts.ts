/**
 * What of the node and of the cluster decides about rules, apart from services.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { familyOf } from "../objects/fields.ts";
import type { NodeObject, ServiceCidrObject } from "../objects/objects.ts";
import type { NodeFacts } from "../table/types.ts";

export interface FamilyFacts {
  readonly serviceCIDRs: readonly string[];
  readonly node: NodeFacts;
}

export class Facts {
  readonly families: readonly Family[];
  readonly #podCIDRs: (node: NodeObject | undefined) => readonly string[];
  readonly #byFamily = new Map<Family, FamilyFacts>();
  #zone: string | undefined;

  constructor(families: readonly Family[], podCIDRs: (node: NodeObject | undefined) => readonly string[]) {
    this.families = families;
    this.#podCIDRs = podCIDRs;
  }

  get zone(): string | undefined {
    return this.#zone;
  }

  of(family: Family): FamilyFacts {
    return this.#byFamily.get(family) ?? NO_FACTS;
  }

  /** Takes in what is now, and tells whether a table's facts changed, and whether every service has to be planned anew. */
  refresh(
    node: NodeObject | undefined,
    serviceCIDRs: Iterable<ServiceCidrObject>,
  ): { readonly factsChanged: boolean; readonly planningChanged: boolean } {
    const cidrs = [...new Set([...serviceCIDRs].flatMap((object) => object.cidrs))].sort();
    const podCIDRs = this.#podCIDRs(node);
    let planningChanged = this.#zone !== node?.zone;
    let factsChanged = false;
    this.#zone = node?.zone;
    for (const family of this.families) {
      const ofFamily = (text: string) => familyOf(text) === family;
      const addresses = (node?.addresses ?? []).filter(ofFamily);
      const facts = {
        serviceCIDRs: cidrs.filter(ofFamily),
        node: { podCIDRs: podCIDRs.filter(ofFamily), addresses },
      };
      const before = this.#byFamily.get(family);
      if (before !== undefined && JSON.stringify(before) === JSON.stringify(facts)) continue;
      factsChanged = true;
      planningChanged ||= String(before?.node.addresses ?? []) !== String(addresses);
      this.#byFamily.set(family, facts);
    }
    return { factsChanged, planningChanged };
  }
}

const NO_FACTS: FamilyFacts = { serviceCIDRs: [], node: { podCIDRs: [], addresses: [] } };
