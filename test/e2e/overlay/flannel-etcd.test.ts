import { flannelCases } from "./cases-flannel.ts";
import { EtcdPeers } from "./etcd-peers.ts";

flannelCases("etcd", (world) => EtcdPeers.start(world));
