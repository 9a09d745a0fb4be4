import { iptablesCases } from "./cases.ts";
import { kernelIptables } from "./kernel.ts";

iptablesCases("iptables-nft in the kernel", () => kernelIptables("nft"));
iptablesCases("iptables-legacy in the kernel", () => kernelIptables("legacy"));
