/**
 * The kernel's nftables in a throwaway host, and its listing in one normal form.
 *
 * @module
 */
import { realNft } from "../../../lib/nft/nft.ts";
import { Host } from "../../e2e/host.ts";
import type { Subject } from "./cases.ts";

/** nftables of a fresh host. */
export async function kernelNft(): Promise<Subject & { readonly host: Host }> {
  const host = await Host.create();
  return {
    host,
    nft: realNft({ prefix: host.enter([]) }),
    dump: async () => normalise(await host.ok(["nft", "-sy", "list", "ruleset"])),
    clear: async () => {
      await host.ok(["nft", "flush", "ruleset"]);
    },
    close: () => host.destroy(),
  };
}

/** What `nft -sy list ruleset` prints, with one element a line, sorted: the kernel keeps them in no order. */
export function normalise(listing: string): string {
  return listing.replace(/^\t\telements = \{ (.*?) \}$/gms, (_, body: string) => {
    const elements = body.match(/(?:"[^"]*"|[^,"])+/g) ?? [];
    const lines = elements.map((element) => `\t\t\t${element.trim()}`).sort();
    return `\t\telements = {\n${lines.join("\n")}\n\t\t}`;
  });
}
