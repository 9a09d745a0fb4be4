import { packetsThroughTheApi } from "./packets.ts";

packetsThroughTheApi("iptables");
