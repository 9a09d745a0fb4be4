/**
 * Who reaches whom, with Kubernetes as the source of peers: each time a real API server, and agents with nothing but
 * the rights of examples/overlay/kubernetes/rbac.yaml.
 */
import { matrixCases } from "../e2e/overlay/cases-matrix.ts";
import { KubePeers } from "./overlay-peers.ts";

matrixCases("kube", (world) => KubePeers.start(world));
