import { nftCases } from "./cases.ts";
import { kernelNft } from "./kernel.ts";

nftCases("nftables in the kernel, by nft alone", () => kernelNft("program"));
nftCases("nftables in the kernel, with elements sent straight", () => kernelNft("netlink"));
