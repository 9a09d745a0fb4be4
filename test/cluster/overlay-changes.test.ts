/** Hosts that come, go and move, and flannel's annotations taken over, with Kubernetes as the source of peers. */
import { changeCases } from "../e2e/overlay/cases-changes.ts";
import { flannelCases } from "../e2e/overlay/cases-flannel.ts";
import { KubePeers } from "./overlay-peers.ts";

changeCases("kube", (world) => KubePeers.start(world));
flannelCases("kube", (world) => KubePeers.start(world));
