import { packetsThroughTheApi } from "./packets.ts";

packetsThroughTheApi("nftables");
