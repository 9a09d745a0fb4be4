import { matrixCases } from "./cases-matrix.ts";
import { EtcdPeers } from "./etcd-peers.ts";

matrixCases("etcd", (world) => EtcdPeers.start(world));
