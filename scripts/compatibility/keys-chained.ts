/**
 * Keys of the plugins that come behind another one in a list.
 *
 * @module
 */
import { PORTMAP } from "./keys-portmap.ts";
import { type DocumentedPlugin, type Shown, testsOf } from "./types.ts";

const admin = testsOf("e2e/firewall-plugin.test.ts");
const adminKey = testsOf("e2e/keys-firewall.test.ts");
const firewalld = testsOf("e2e/firewall-firewalld.test.ts");
const shaped = testsOf("e2e/bandwidth.test.ts");
const tuned = testsOf("e2e/tuning.test.ts");
const sbr = testsOf("e2e/sbr.test.ts");
const asked = testsOf("e2e/keys-asked.test.ts");
const vrf = testsOf("e2e/dummy-vrf.test.ts");

const first = admin("asks the administrator first, whose word ends it, and never touches that chain");
const ingress = (instance: string): Shown =>
  testsOf("e2e/firewall-ingress.test.ts")("%s", {
    instance,
    group: "cni row 21: who reaches whom on %s, where FORWARD drops",
  });

const FIREWALL: DocumentedPlugin = {
  plugin: "firewall",
  page: "meta/firewall",
  keys: {
    backend: [
      first,
      firewalld("cni row 7: has a container's addresses in the zone until DEL, and again after a reload"),
      firewalld("has it refused, and asked for by nobody does without: %s"),
    ],
    iptablesAdminChainName: [
      adminKey("iptablesAdminChainName: that chain is asked first on %s, and not CNI-ADMIN"),
      first,
    ],
    firewalldZone: [firewalld("takes the zone of the config, and says whose a source is that it cannot have")],
    ingressPolicy: [ingress("open"), ingress("same-bridge"), ingress("isolated")],
  },
  differences: [
    "`backend` may be `nftables`, and is that where nothing else works: rules of an iptables that drops get accepting ones all the same.",
    "Chains are ours (`TSNET-`), but for the administrator's. What the reference left of a container goes with its DEL, and `CNI-FORWARD` and the like with the last one.",
    "Walls are rules of the back end that accepts, of nftables, too; with firewalld they come back after its reload.",
    "An address that a reload of firewalld forgot is told of by CHECK, and put back by the same ADD or `tsnet network reload`.",
    "It works on a host without ip6tables, where the reference fails, and DEL does without prevResult, where the reference leaves its rules.",
    "A chain of somebody else's in nftables that drops cannot be overruled: ADD stops and prints the rule to add there.",
    "`isolated` holds also where `br_netfilter` is off, by the bridge's own port isolation.",
  ],
};

const ingressKeys = shaped("sets ingressRate and ingressBurst on the host's end, and changes no result");
const egressKeys = shaped("sets egressRate and egressBurst on an ifb, which it adds to the interfaces");
const rates = shaped("hold within a tenth in both directions at once, by IPv4 and IPv6");
const runtimeRates = shaped("takes runtimeConfig.bandwidth where the config itself has none of the keys");

const BANDWIDTH: DocumentedPlugin = {
  plugin: "bandwidth",
  page: "meta/bandwidth",
  keys: {
    ingressRate: [ingressKeys, rates],
    ingressBurst: [ingressKeys],
    egressRate: [egressKeys, rates],
    egressBurst: [egressKeys],
    "runtimeConfig.bandwidth": [runtimeRates],
  },
  differences: [
    "The ifb is named after the interface, too: a container may have several limited ones on one network.",
    "A burst that lasts longer than 274 s at its rate is kept; the reference keeps what is left after a division by that.",
    "DEL takes the limits off, also without prevResult, and what the reference made.",
    "A burst smaller than a packet of the link's MTU is warned of, and a rate or burst of less than 8 bits is refused: the kernel counts in bytes.",
  ],
};

const tuning = (instance: string): readonly Shown[] => [tuned("sets %s, and keeps what was", { instance })];

const TUNING: DocumentedPlugin = {
  plugin: "tuning",
  page: "meta/tuning",
  keys: {
    sysctl: [...tuning("sysctl"), ...tuning("sysctl with IFNAME")],
    mac: tuning("mac"),
    mtu: tuning("mtu"),
    promisc: tuning("promisc"),
    allmulti: tuning("allmulti"),
    txQLen: tuning("txQLen"),
    dataDir: [tuned("keeps the back-up in dataDir, for root alone")],
    "MAC of CNI_ARGS": [tuned("takes MAC of CNI_ARGS")],
    "runtimeConfig.mac": tuning("runtimeConfig.mac"),
    "args.cni.mac": tuning("args.cni.mac"),
    "args.cni.mtu": tuning("args.cni.mtu"),
    "args.cni.promisc": tuning("args.cni.promisc"),
    "args.cni.allmulti": tuning("args.cni.allmulti"),
    "args.cni.sysctl": tuning("args.cni.sysctl"),
    "args.cni.txQLen": tuning("args.cni.txQLen"),
    "/etc/cni/tuning/allowlist.conf": [
      tuned("/etc/cni/tuning/allowlist.conf lets through what a line matches, and nothing else"),
      tuned("that is empty lets nothing through, and one with a line that is no pattern says so"),
    ],
  },
  differences: [
    "DEL puts back sysctls as well, but for those that somebody set since. The back-up is in the reference's form, so that either restores what the other changed.",
    "Two plugins of this type in one list keep what was before the first.",
    "An ADD that fails takes everything back, and changes nothing where it cannot keep what was.",
    "Two spellings of one sysctl count as the same key twice, which is an error.",
    "CHECK does not mind promiscuous mode that the config does not name, nor the white space between several numbers.",
    "A relative `dataDir` is refused.",
  ],
};

const moved = sbr("has a table for each address, and the interface's routes in them instead of the main one");

const SBR: DocumentedPlugin = {
  plugin: "sbr",
  page: "meta/sbr",
  keys: {
    prevResult: [moved, sbr("answers by the interface that it was asked on, and begins by that which it binds to")],
    table: [sbr("table: rules lead there, and no route is touched")],
    gateways: [sbr("gateways: the tables' default routes go there instead")],
    addSourceHints: [
      sbr("addSourceHints: the main table keeps the way to the subnets, from the interface's addresses"),
    ],
  },
  differences: [
    "Each address has a table of its own with what is its own, and IPv6's link-local routes stay in the main one.",
    "CHECK looks at rules and routes: the reference's at nothing.",
    "An ADD that fails half-way gives the routes back.",
    "Rules carry protocol 116, so that nobody else's are taken for ours.",
    "`gateways` and `addSourceHints` are not in release 1.9.1 but in what comes after it.",
  ],
};

const VRF: DocumentedPlugin = {
  plugin: "vrf",
  page: "meta/vrf",
  keys: {
    vrfname: [
      asked("a VRF by the name and the table of the config"),
      vrf("moves the interface in with its addresses and routes, or says what the kernel lacks and leaves nothing"),
    ],
    table: [
      asked("a VRF by the name and the table of the config"),
      asked("a table that nobody has unless told otherwise"),
    ],
    "args.cni.vrfname": [asked("those of args.cni before them")],
    "args.cni.table": [asked("those of args.cni before them")],
  },
  differences: [
    "`args.cni` is read, as the reference's documentation says and its source does not.",
    "A free table is one that no rule and no route has either, and none of the kernel's own.",
    "Routes move with the interface, also those on the link; the reference loses them.",
    "A kernel that lacks it is told of by name, in the error of ADD and by STATUS.",
  ],
};

export const CHAINED: readonly DocumentedPlugin[] = [PORTMAP, FIREWALL, BANDWIDTH, TUNING, SBR, VRF];
