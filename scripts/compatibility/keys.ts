/**
 * Every key that the reference plugins' documentation (cni.dev/plugins/current, and the source of release 1.9.1 where
 * that is silent) gives a meaning, each with the test that shows that ours does as it says.
 *
 * `title` is a part of the test's own title, as it stands in `file`.
 *
 * @module
 */

export interface DocumentedKey {
  /** As it is written in a config, from the plugin's own level: `ipam.ranges[][].gateway`. */
  readonly key: string;
  readonly file: string;
  readonly title: string;
}

export interface DocumentedPlugin {
  readonly plugin: string;
  readonly keys: readonly DocumentedKey[];
  /** Where ours does something else on purpose: what, and why. */
  readonly differences: readonly string[];
}

export const DOCUMENTED: readonly DocumentedPlugin[] = [
  {
    plugin: "bandwidth",
    keys: [
      {
        key: "ingressRate",
        file: "test/e2e/bandwidth.test.ts",
        title: "sets ingressRate and ingressBurst on the host's end",
      },
      {
        key: "ingressBurst",
        file: "test/e2e/bandwidth.test.ts",
        title: "sets ingressRate and ingressBurst on the host's end",
      },
      { key: "egressRate", file: "test/e2e/bandwidth.test.ts", title: "sets egressRate and egressBurst on an ifb" },
      { key: "egressBurst", file: "test/e2e/bandwidth.test.ts", title: "sets egressRate and egressBurst on an ifb" },
      {
        key: "runtimeConfig.bandwidth",
        file: "test/e2e/bandwidth.test.ts",
        title: "takes runtimeConfig.bandwidth where the config itself has none of the keys",
      },
    ],
    differences: [
      "The interface is part of the ifb's name, so that a container may have two limited interfaces on one network.",
      "A burst that lasts longer than 274 s at its rate is kept whole, where the reference keeps the rest of a division by 2^32 ticks.",
      "A rate or a burst of less than 8 bits is refused: the kernel counts in bytes.",
    ],
  },
  {
    plugin: "host-device",
    keys: [
      {
        key: "device",
        file: "test/e2e/host-device.test.ts",
        title: "has it under the name that CNI_IFNAME says; the alias keeps the name that it had",
      },
      { key: "hwaddr", file: "test/e2e/host-device.test.ts", title: "is found by its hardware address" },
      { key: "kernelpath", file: "test/e2e/host-device.test.ts", title: "is found by its path below /sys/devices" },
      { key: "pciBusID", file: "test/e2e/host-device.test.ts", title: "its place on the PCI bus, behind virtio" },
      {
        key: "runtimeConfig.deviceID",
        file: "test/e2e/host-device.test.ts",
        title: "the runtime's deviceID on the auxiliary bus",
      },
      {
        key: "ipam",
        file: "test/e2e/host-device.test.ts",
        title: "gets it without addresses where there is no ipam, and a result in every config version",
      },
    ],
    differences: [
      "The result's dns is the config's if that has any field, else the IPAM plugin's: the reference drops the latter.",
      "A device that was up is up again after DEL, and has its alias again; the reference leaves it down, without one.",
      "A failed ADD gives the device back, also where IPAM failed.",
      "DEL twice, with the namespace gone or without its path succeeds, and gives a device its name back that the kernel returned.",
      "The result of 1.1.0 names pciID.",
      "kernelpath and bus names with .. are refused.",
    ],
  },
  {
    plugin: "ipvlan",
    keys: [
      {
        key: "master",
        file: "test/e2e/stacked.test.ts",
        title: "takes the one interface of the plugin before for its master, and refuses to choose between two",
      },
      {
        key: "mode",
        file: "test/lib/netlink/stacked.test.ts",
        title: "an ipvlan in another mode, and a link in another VLAN, fail CHECK",
      },
      {
        key: "mtu",
        file: "test/e2e/stacked.test.ts",
        title: "what cannot be is refused, each by its name, and leaves nothing",
      },
      {
        key: "linkInContainer",
        file: "test/e2e/stacked.test.ts",
        title: "what cannot be is refused, each by its name, and leaves nothing",
      },
      {
        key: "ipam",
        file: "test/e2e/stacked.test.ts",
        title: "takes the one interface of the plugin before for its master, and refuses to choose between two",
      },
    ],
    differences: [
      "The result's dns is the config's if that has any field, else the IPAM plugin's: the reference drops the latter.",
      "An mtu above the master's is an error, as with macvlan and vlan.",
      "CHECK works in a chain without master, where the reference looks for a link without a name.",
    ],
  },
  {
    plugin: "macvlan",
    keys: [
      {
        key: "master",
        file: "test/e2e/macvlan.test.ts",
        title: "stands on the default route's interface if no master is named",
      },
      {
        key: "mode",
        file: "test/e2e/macvlan.test.ts",
        title: "is made with mode, MTU, MAC and broadcast queue as the config says, and is tagged as ours",
      },
      {
        key: "mtu",
        file: "test/e2e/macvlan.test.ts",
        title: "refuses what cannot be, each by its name, and leaves nothing",
      },
      {
        key: "mac",
        file: "test/e2e/macvlan.test.ts",
        title: "is made with mode, MTU, MAC and broadcast queue as the config says, and is tagged as ours",
      },
      { key: "runtimeConfig.mac", file: "test/e2e/macvlan.test.ts", title: "runtimeConfig's MAC before all others" },
      { key: "CNI_ARGS MAC", file: "test/e2e/macvlan.test.ts", title: "CNI_ARGS' MAC before the config's" },
      {
        key: "linkInContainer",
        file: "test/e2e/macvlan.test.ts",
        title: "stands on a master in the container with linkInContainer",
      },
      {
        key: "bcqueuelen",
        file: "test/e2e/macvlan.test.ts",
        title: "is made with mode, MTU, MAC and broadcast queue as the config says, and is tagged as ours",
      },
      {
        key: "ipam",
        file: "test/e2e/macvlan.test.ts",
        title: "has no addresses without ipam, and the interface is up",
      },
    ],
    differences: [
      "The result's dns is the config's if that has any field, else the IPAM plugin's: the reference drops the latter.",
      "args.cni.mac counts, after runtimeConfig.mac.",
      "DEL and CHECK need no default route; STATUS looks for the master.",
    ],
  },
  {
    plugin: "tap",
    keys: [
      {
        key: "multiQueue",
        file: "test/e2e/tap.test.ts",
        title: "is made as the config says, persistent, up and tagged as ours",
      },
      {
        key: "mtu",
        file: "test/e2e/tap.test.ts",
        title: "is made as the config says, persistent, up and tagged as ours",
      },
      {
        key: "mac",
        file: "test/e2e/tap.test.ts",
        title: "is made as the config says, persistent, up and tagged as ours",
      },
      {
        key: "owner",
        file: "test/e2e/tap.test.ts",
        title: "is made as the config says, persistent, up and tagged as ours",
      },
      {
        key: "group",
        file: "test/e2e/tap.test.ts",
        title: "is made as the config says, persistent, up and tagged as ours",
      },
      {
        key: "selinuxContext",
        file: "test/e2e/tap.test.ts",
        title: "is refused where there is no SELinux, and nothing is made",
      },
      {
        key: "bridge",
        file: "test/e2e/tap.test.ts",
        title: "is a port of a bridge in the container, without addresses",
      },
      { key: "ipam", file: "test/e2e/tap.test.ts", title: "a program behind the tap talks to the container" },
    ],
    differences: [
      "The result's dns is the config's if that has any field, else the IPAM plugin's: the reference drops the latter.",
      "IPv6 addresses skip duplicate address detection, which cannot end without a program behind the tap: the reference waits five seconds for it.",
      "Always without packet information and VNET_HDR, as ip tuntap makes it; the reference sets VNET_HDR where both owner and group are given.",
      "CHECK looks at the device itself, too; the reference at addresses and routes alone.",
    ],
  },
  {
    plugin: "tuning",
    keys: [
      { key: "sysctl", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "mac", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "mtu", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "promisc", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "allmulti", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "txQLen", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "args.cni.sysctl", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "args.cni.mac", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "args.cni.mtu", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "args.cni.promisc", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "args.cni.allmulti", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "args.cni.txQLen", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "runtimeConfig.mac", file: "test/e2e/tuning.test.ts", title: ", and keeps what was" },
      { key: "MAC of CNI_ARGS", file: "test/e2e/tuning.test.ts", title: "takes MAC of CNI_ARGS" },
      { key: "dataDir", file: "test/e2e/tuning.test.ts", title: "keeps the back-up in dataDir" },
      {
        key: "/etc/cni/tuning/allowlist.conf",
        file: "test/e2e/tuning.test.ts",
        title: "/etc/cni/tuning/allowlist.conf lets through what a line matches",
      },
    ],
    differences: [
      "CHECK does not mind promiscuous mode that the config does not name.",
      "Values of several numbers compare whatever the white space between them is.",
      "DEL puts sysctls back, too, unless somebody set them since; the file of a namespace that is gone is removed.",
      "Two spellings of one sysctl count as the same key twice.",
      "A relative dataDir is refused.",
    ],
  },
  {
    plugin: "vlan",
    keys: [
      {
        key: "master",
        file: "test/e2e/stacked.test.ts",
        title: "what cannot be is refused, each by its name, and leaves nothing",
      },
      {
        key: "vlanId",
        file: "test/e2e/stacked.test.ts",
        title: "what cannot be is refused, each by its name, and leaves nothing",
      },
      {
        key: "mtu",
        file: "test/e2e/stacked.test.ts",
        title: "what cannot be is refused, each by its name, and leaves nothing",
      },
      {
        key: "linkInContainer",
        file: "test/e2e/stacked.test.ts",
        title: "what cannot be is refused, each by its name, and leaves nothing",
      },
      {
        key: "ipam",
        file: "test/e2e/stacked.test.ts",
        title: "is added, checked and deleted, or refused as the kernel lacks it; the host is as before",
      },
    ],
    differences: [
      "The result's dns is the config's if that has any field, else the IPAM plugin's: the reference drops the latter.",
      "DEL works without the master.",
    ],
  },
];
