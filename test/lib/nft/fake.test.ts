import { fakeNft } from "../../../lib/nft/nft.fake.ts";
import { nftCases } from "./cases.ts";

nftCases("nftables in memory", async () => {
  let nft = fakeNft();
  return {
    nft: {
      run: (tx) => nft.run(tx),
      list: (family, table) => nft.list(family, table),
      tables: () => nft.tables(),
      baseChains: () => nft.baseChains(),
    },
    dump: async () => nft.dump(),
    clear: async () => {
      nft = fakeNft();
    },
    close: async () => {},
  };
});
