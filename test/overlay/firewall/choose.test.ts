import { describe, expect, test } from "vitest";
import type { Log } from "../../../lib/daemon/log.ts";
import type { NftDoor } from "../../../lib/nft/nftbatch.ts";
import { chooseBackend } from "../../../overlay/firewall/choose.ts";

const silent: Log = { info() {}, warn() {}, error() {}, debug() {} };

/** A kernel that answers every batch so. */
const answering = (errno: string | undefined): NftDoor => ({
  talk: (_, last = 0) => [{ sequence: errno === undefined ? last : 2, errno, offset: undefined }],
});

describe("nftables", () => {
  test("is chosen where the kernel takes a table that masquerades", async () => {
    expect(await chooseBackend(undefined, answering(undefined), silent)).toEqual({ backend: "nftables" });
  });

  test("that the network asks for and the kernel lacks is an error with the way out", async () => {
    await expect(chooseBackend("nftables", answering("EOPNOTSUPP"), silent)).rejects.toMatchObject({
      code: "kernel-lacks",
      message: expect.stringMatching(/^the kernel has no nftables with masquerade \(.*\): set EnableNFTables to false/),
    });
  });

  test("that we may not use does not lead to iptables, which we may not use either", async () => {
    await expect(chooseBackend(undefined, answering("EPERM"), silent)).rejects.toMatchObject({ code: "permission" });
  });
});
