import { packetCases } from "./cases.ts";

packetCases({ mode: "nftables" });
