import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TsnetError } from "../../../lib/errors.ts";
import type { Tools } from "../../../lib/firewall/tools.ts";
import { fakeIptables } from "../../../lib/iptables/iptables.fake.ts";
import * as log from "../../../lib/log.ts";
import { addresses, FakeHost, WEB } from "./fake-host.ts";

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost(mkdtempSync(join(tmpdir(), "tsnet-firewall-")));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(host.root, { recursive: true, force: true });
});

const web = { masquerade: { addresses: addresses(5) } };
const noIptables: Partial<Tools> = { detectVariant: async () => undefined };

/** Which filter a container's rules end up in. */
async function chosen(wanted: "iptables" | "nftables" | undefined, changes: Partial<Tools> = {}): Promise<string> {
  const firewall = await host.firewall(wanted, changes);
  await firewall.attach(WEB, web);
  if (host.nft.dump() !== "") return "nftables";
  return host.iptables.nft.dump(4) === "" ? "iptables-legacy" : "iptables-nft";
}

describe("the back end", () => {
  it("is what the config says", async () => {
    expect(await chosen("nftables")).toBe("nftables");
  });

  it("is iptables where the config says nothing", async () => {
    expect(await chosen(undefined)).toBe("iptables-nft");
  });

  it("is the iptables whose rules the host has", async () => {
    expect(await chosen(undefined, { detectVariant: async () => "legacy" })).toBe("iptables-legacy");
  });

  it("is nftables where there is no iptables", async () => {
    expect(await chosen(undefined, noIptables)).toBe("nftables");
  });

  it("is nftables where iptables is installed and the kernel has no tables for it", async () => {
    const lacks = () => Promise.reject(new TsnetError("no such table", { code: "kernel-lacks" }));
    const iptables = async () => ({ ...fakeIptables(), run: lacks, save: lacks });
    expect(await chosen(undefined, { iptables })).toBe("nftables");
    await expect((await host.firewall("iptables", { iptables })).attach(WEB, web)).rejects.toMatchObject({
      code: "kernel-lacks",
    });
  });

  it("cni row 9: is native nft where iptables-nft and -legacy both hold rules, and the mixture is told", async () => {
    const warning = vi.spyOn(log, "warn").mockImplementation(() => {});
    const mixed: Partial<Tools> = {
      legacyIsLoaded: () => true,
      surveyVariants: async () => ({ variant: "nft", holdRules: ["nft", "legacy"] }),
    };
    expect(await chosen(undefined, mixed)).toBe("nftables");
    expect(warning.mock.calls.join()).toMatch(/both iptables-nft and iptables-legacy hold rules.*using nftables/);
  });

  it("cni row 9: stays what the config says in a mixture, which is told all the same", async () => {
    const warning = vi.spyOn(log, "warn").mockImplementation(() => {});
    const mixed: Partial<Tools> = {
      legacyIsLoaded: () => true,
      surveyVariants: async () => ({ variant: "legacy", holdRules: ["nft", "legacy"] }),
    };
    expect(await chosen("iptables", mixed)).toBe("iptables-legacy");
    expect(warning.mock.calls.join()).toContain("using iptables-legacy");
  });

  it("cni row 9: is legacy, and nothing is told, where legacy alone holds rules", async () => {
    const warning = vi.spyOn(log, "warn").mockImplementation(() => {});
    const legacy: Partial<Tools> = {
      legacyIsLoaded: () => true,
      surveyVariants: async () => ({ variant: "legacy", holdRules: ["legacy"] }),
    };
    expect(await chosen(undefined, legacy)).toBe("iptables-legacy");
    expect(warning).not.toHaveBeenCalled();
  });

  it("is usable where its program is, and says what to install where it is not", async () => {
    await (await host.firewall("nftables")).ensureUsable();
    await (await host.firewall("iptables")).ensureUsable();
    await expect((await host.firewall("iptables", noIptables)).ensureUsable()).rejects.toMatchObject({
      code: "not-found",
      message: "there is no iptables on this host: install it, or choose the back end nftables",
    });
  });
});
