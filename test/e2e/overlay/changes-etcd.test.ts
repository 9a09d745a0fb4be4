import { changeCases } from "./cases-changes.ts";
import { EtcdPeers } from "./etcd-peers.ts";

changeCases("etcd", (world) => EtcdPeers.start(world));
