/**
 * Keys of bridge.
 *
 * @module
 */
import { type DocumentedPlugin, type Shown, testsOf } from "./types.ts";

const bridge = testsOf("e2e/bridge.test.ts");
const keys = testsOf("e2e/keys-bridge.test.ts");
const vlans = testsOf("plugins/bridge/vlan.test.ts");

const beyond = bridge("talks to its neighbour, its gateway and a machine beyond, which sees the host's address");
const sets = bridge("sets MTU, MAC, hairpin, isolation and promiscuity as the config asks");
const refuses = bridge(
  "refuses a bridge of that name that is none, an address that the bridge contradicts, and impossible keys, each by name",
);
const macOf = (instance: string): readonly Shown[] => [
  keys("has the MAC of %s, before those that come after it", { instance }),
];
const port = (instance: string): Shown => vlans("%s", { instance, group: "a port of a bridge" });
const trunk = port("vlanTrunk: is in those VLANs as well, tagged");
const lacks = bridge("says what the kernel lacks for VLANs and leaves nothing");

export const BRIDGE: DocumentedPlugin = {
  plugin: "bridge",
  page: "main/bridge",
  keys: {
    bridge: [keys("is cni0 without a name, and carries no address unless it is a gateway"), refuses],
    isGateway: [
      keys("carries the gateways' addresses with isGateway, and the host forwards; the container has no default route"),
    ],
    isDefaultGateway: [keys("is the container's default route with isDefaultGateway")],
    forceAddress: [refuses],
    ipMasq: [beyond],
    ipMasqBackend: [beyond],
    mtu: [sets],
    hairpinMode: [sets],
    ipam: [
      bridge("names bridge, host's end and container's end, in this order"),
      keys("is up without an address where ipam is empty"),
    ],
    promiscMode: [sets],
    vlan: [port("vlan: leaves the default VLAN for its own, untagged"), port("vlan 0: none"), lacks],
    preserveDefaultVlan: [port("preserveDefaultVlan: stays in it")],
    "vlanTrunk[].id": [trunk, port("vlanTrunk without vlan: is untagged in VLAN 1")],
    "vlanTrunk[].minID": [trunk, vlans("is refused an impossible %s", { instance: "minID without maxID" })],
    "vlanTrunk[].maxID": [trunk, vlans("is refused an impossible %s", { instance: "minID above maxID" })],
    enabledad: [keys("looks for duplicates of its IPv6 addresses with enabledad, and has them at once without")],
    macspoofchk: [bridge("lets a container send from its own MAC address only, with macspoofchk")],
    disableContainerInterface: [keys("stays down with disableContainerInterface, which goes with no ipam")],
    portIsolation: [sets],
    dns: [keys("dns of the config, even an empty field of it, comes before that of IPAM")],
    "MAC of CNI_ARGS": macOf("MAC of CNI_ARGS"),
    "runtimeConfig.mac": macOf("runtimeConfig.mac"),
    "args.cni.mac": macOf("args.cni.mac"),
  },
  differences: [
    "DEL takes the masquerade away with the namespace gone; the reference's stays, as it reads the addresses there.",
    "Rules are in the table `inet tsnet` or in chains that begin with `TSNET-`, not in one chain a container.",
    "The host's end of the veth has a name that follows from the attachment, in place of a random one.",
    "A container's address is announced, neighbours forget who had it before, and the host's strict reverse path filter is made loose on the bridge.",
    "A full bridge is code 11 before an address is taken.",
    "A native VLAN that is in the trunk as well stays native.",
    "`mtu` is 68 to 65535, or 0 for the kernel's.",
    "The bridge's own addresses go through duplicate address detection with `enabledad` alone.",
  ],
};
