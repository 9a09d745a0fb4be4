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
];
