/**
 * The kernel's nftables in a throwaway host, and its listing in one normal form.
 *
 * @module
 */
import { realNft } from "../../../lib/nft/nft.ts";
import { openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";
import type { Subject } from "./cases.ts";

/** nftables of a fresh host; `by` the program alone, or with elements sent straight to the kernel. */
export async function kernelNft(by: "program" | "netlink"): Promise<Subject & { readonly host: Host }> {
  const host = await Host.create();
  const netns = openNetns(`/proc/${host.pid}/ns/net`);
  return {
    host,
    nft: realNft(by === "program" ? { prefix: host.enter([]) } : { netns }),
    dump: async () => normalise(await host.ok(["nft", "-sy", "list", "ruleset"])),
    clear: async () => {
      await host.ok(["nft", "flush", "ruleset"]);
    },
    close: () => {
      netns.close();
      return host.destroy();
    },
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
