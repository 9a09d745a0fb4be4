import { packetCases } from "./cases.ts";

packetCases({ mode: "iptables" });
