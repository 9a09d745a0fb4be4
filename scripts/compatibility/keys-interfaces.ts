/**
 * Keys of the plugins that make an interface.
 *
 * @module
 */
import { BRIDGE } from "./keys-bridge.ts";
import { type DocumentedPlugin, type Shown, testsOf } from "./types.ts";

const LACKS = "added, checked and deleted, or refused as the kernel lacks it; the host is as before";

const DNS = "The result's `dns` is the config's if that has any field, else that of IPAM, which the reference drops.";

const ptp = testsOf("e2e/ptp.test.ts");
const ptpAdd = testsOf("e2e/ptp-add.test.ts");
const macvlan = testsOf("e2e/macvlan.test.ts");
const asked = testsOf("e2e/keys-asked.test.ts");
const stacked = testsOf("e2e/stacked.test.ts");
const ipam = testsOf("e2e/keys-ipam.test.ts");
const device = testsOf("e2e/host-device.test.ts");
const tap = testsOf("e2e/tap.test.ts");
const tapKeys = testsOf("e2e/keys-tap.test.ts");
const dummy = testsOf("e2e/dummy-vrf.test.ts");
const loopback = testsOf("e2e/loopback.test.ts");

const beyond = ptp("talks to its neighbour, to the host and to a machine beyond, which sees the host's address");
const ends = ptpAdd("names the host's end, then the container's, and gives the addresses to that");

const PTP: DocumentedPlugin = {
  plugin: "ptp",
  page: "main/ptp",
  keys: {
    ipMasq: [beyond],
    ipMasqBackend: [beyond],
    mtu: [ends],
    ipam: [ends, ptpAdd("leads everything through the gateway, which is all that the host's end has")],
    dns: [ptpAdd("takes the dns of the config, even an empty field of it, before IPAM's")],
  },
  differences: [
    "DEL takes the masquerade away with the namespace gone; the reference's stays, as it reads the addresses there.",
    "Each address is served by its own gateway, also several of one family.",
    "An address without a gateway gets the first of its subnet, where the reference fails.",
    "Rules are in the table `inet tsnet` or in chains that begin with `TSNET-`, not in one chain a container.",
  ],
};

const made = macvlan("is made with mode, MTU, MAC and broadcast queue as the config says, and is tagged as ours");
const talks = macvlan("talks to its neighbour and to a machine on the master's network, by IPv4 and IPv6");
const macOf = (instance: string): readonly Shown[] => [macvlan("has %s", { instance, group: "the interface" })];

const MACVLAN: DocumentedPlugin = {
  plugin: "macvlan",
  page: "main/macvlan",
  keys: {
    master: [talks, macvlan("stands on the default route's interface if no master is named")],
    mode: [
      talks,
      macvlan("in mode private does not reach its neighbour, but the machine beyond"),
      made,
      macvlan("takes the master for one container in mode passthru"),
    ],
    mtu: [made],
    ipam: [talks, macvlan("has no addresses without ipam, and the interface is up")],
    linkInContainer: [macvlan("stands on a master in the container with linkInContainer")],
    mac: [made],
    bcqueuelen: [made],
    dns: [macvlan("has no addresses without ipam, and the interface is up")],
    "runtimeConfig.mac": macOf("runtimeConfig's MAC before all others"),
    "MAC of CNI_ARGS": macOf("CNI_ARGS' MAC before the config's"),
  },
  differences: [
    "`args.cni.mac` counts as well, after `runtimeConfig.mac`, as in `bridge`.",
    DNS,
    "DEL and CHECK need neither the master nor a default route; DEL takes no interface that another plugin made.",
    "The interface is made in the container under its own name: the host never sees it.",
  ],
};

const IPVLAN: DocumentedPlugin = {
  plugin: "ipvlan",
  page: "main/ipvlan",
  keys: {
    master: [
      asked("mode %s", { group: "ipvlan asks for" }),
      asked("the default route's interface as master, mode l2 and the kernel's MTU unless told otherwise"),
    ],
    mode: [asked("mode %s", { group: "ipvlan asks for" }), stacked(`is ${LACKS}`)],
    mtu: [asked("the MTU of the config", { group: "ipvlan asks for" })],
    ipam: [ipam("has the addresses and routes of the plugin that ipam names")],
    linkInContainer: [asked("a master in the container with linkInContainer", { group: "ipvlan asks for" })],
    "prevResult, without master and ipam": [
      stacked("takes the one interface of the plugin before for its master, and refuses to choose between two"),
    ],
    dns: [ipam("has the dns of the config where that says anything")],
  },
  differences: [
    DNS,
    "An `mtu` above the master's is an error, as with macvlan and vlan.",
    "CHECK works in a chain without `master`, where the reference looks for a link without a name, and DEL without the master.",
    "A kernel that lacks it is told of by name, in the error of ADD and by STATUS.",
  ],
};

const VLAN: DocumentedPlugin = {
  plugin: "vlan",
  page: "main/vlan",
  keys: {
    master: [
      asked("the VLAN, master and MTU of the config"),
      stacked("what cannot be is refused, each by its name, and leaves nothing"),
    ],
    vlanId: [asked("the VLAN, master and MTU of the config"), stacked(`is ${LACKS}`)],
    mtu: [asked("the VLAN, master and MTU of the config")],
    ipam: [ipam("has the addresses and routes of the plugin that ipam names")],
    dns: [ipam("has the dns of the config where that says anything")],
    linkInContainer: [asked("a master in the container with linkInContainer", { group: "vlan asks for" })],
  },
  differences: [
    "`master` is required, as in the reference's source; its documentation also speaks of the default route's interface.",
    DNS,
    "DEL works without the master.",
    "A kernel that lacks it is told of by name, in the error of ADD and by STATUS.",
  ],
};

const found = (instance: string): readonly Shown[] => [device("is found by %s", { instance })];

const HOST_DEVICE: DocumentedPlugin = {
  plugin: "host-device",
  page: "main/host-device",
  keys: {
    device: [device("has it under the name that CNI_IFNAME says; the alias keeps the name that it had")],
    hwaddr: [device("is found by its hardware address")],
    kernelpath: [device("is found by its path below /sys/devices")],
    pciBusID: [
      ...found("its place on the PCI bus"),
      device("that a program drives is not moved: the container gets its addresses, and DEL frees them"),
    ],
    "runtimeConfig.deviceID": [
      ...found("the runtime's deviceID on that bus"),
      ...found("the runtime's deviceID on the auxiliary bus"),
    ],
    ipam: [
      device("talks over it, by IPv4 and IPv6"),
      device("gets it without addresses where there is no ipam, and a result in every config version"),
    ],
  },
  differences: [
    "The device has the name of CNI_IFNAME in the container, as with the reference's source; its documentation says that CNI_IFNAME is ignored.",
    "A device that a program drives (DPDK) has the addresses of `ipam` in the result, as with the source; the documentation says that `ipam` is ignored.",
    DNS,
    "A device that was up is up again after DEL, and has its alias again; the reference leaves it down, without one.",
    "A failed ADD gives the device back, also where IPAM failed.",
    "DEL twice, with the namespace gone or without its path succeeds, and gives a device its name back that the kernel returned under another. Where the host has another link of that name by then, DEL says so and leaves it where it is.",
    "The result of 1.1.0 names `pciID`.",
    "`kernelpath` and names on a bus with `..` in them are refused.",
  ],
};

const wanted = tap("is made as the config says, persistent, up and tagged as ours");
const tapMac = (instance: string): readonly Shown[] => [
  tapKeys("the MAC is that of %s, before those that come after it", { instance }),
];

const TAP: DocumentedPlugin = {
  plugin: "tap",
  page: "main/tap",
  keys: {
    mac: [wanted],
    mtu: [wanted],
    selinuxContext: [
      tap("is taken on by the process that makes the device"),
      tap("is refused where there is no SELinux, and nothing is made"),
    ],
    multiQueue: [wanted],
    owner: [tapKeys("owner and group are the numbers that the config says")],
    group: [tapKeys("owner and group are the numbers that the config says")],
    bridge: [tap("is a port of a bridge in the container, without addresses")],
    ipam: [wanted, tap("a program behind the tap talks to the container")],
    "runtimeConfig.mac": tapMac("runtimeConfig.mac"),
    "MAC of CNI_ARGS": tapMac("MAC of CNI_ARGS"),
  },
  differences: [
    "`args.cni.mac` counts as well, after `runtimeConfig.mac`, as in `bridge`.",
    DNS,
    "IPv6 addresses are there at once: without a program behind the tap the search for duplicates cannot end, and the reference waits five seconds for it.",
    "Always without packet information and VNET_HDR, as `ip tuntap` makes it; the reference sets VNET_HDR where both `owner` and `group` are given.",
    "CHECK looks at the device itself, too; the reference at addresses and routes alone.",
    "`selinuxContext` is an error on a host without SELinux.",
  ],
};

const DUMMY: DocumentedPlugin = {
  plugin: "dummy",
  keys: {
    ipam: [
      dummy("gives an interface with addresses, or says what the kernel lacks and leaves nothing"),
      dummy("refuses a config without addresses, and a name that is taken"),
    ],
    CNI_IFNAME: [asked("dummy asks for an interface of that name in the container")],
  },
  differences: ["A kernel that lacks it is told of by name, in the error of ADD and by STATUS."],
};

const LOOPBACK: DocumentedPlugin = {
  plugin: "loopback",
  keys: {
    CNI_IFNAME: [
      loopback("ADD brings lo up, whatever the interface is called, CHECK looks at it, and DEL brings it down"),
    ],
    prevResult: [loopback("in a chain hands on the result of the plugin before it")],
    cniVersion: [loopback("answers in version %s")],
  },
  differences: [],
};

export const INTERFACES: readonly DocumentedPlugin[] = [
  ...[BRIDGE, PTP, MACVLAN, IPVLAN, VLAN],
  ...[HOST_DEVICE, TAP, DUMMY, LOOPBACK],
];
