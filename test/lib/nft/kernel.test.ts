import { nftCases } from "./cases.ts";
import { kernelNft } from "./kernel.ts";

nftCases("nftables in the kernel", kernelNft);
