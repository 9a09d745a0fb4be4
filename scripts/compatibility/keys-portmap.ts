/**
 * Keys of portmap.
 *
 * @module
 */
import { type DocumentedPlugin, testsOf } from "./types.ts";

const portmap = testsOf("e2e/portmap.test.ts");
const keys = testsOf("e2e/keys-portmap.test.ts");

const published = portmap("is reached from a host beyond, by TCP and UDP, and sees who asks");
const conditions = keys("conditionsV4 and conditionsV6: each holds for its family");

export const PORTMAP: DocumentedPlugin = {
  plugin: "portmap",
  page: "meta/portmap",
  keys: {
    "runtimeConfig.portMappings[].hostPort": [published],
    "runtimeConfig.portMappings[].containerPort": [published],
    "runtimeConfig.portMappings[].protocol": [published, keys("protocol: sctp has rules as tcp and udp have")],
    "runtimeConfig.portMappings[].hostIP": [
      portmap("is reached on the host address that it is bound to, and on no other"),
    ],
    snat: [
      portmap("is reached from the host by its own address and by 127.0.0.1"),
      keys("snat: without it nobody is masqueraded, so that the host does not get there by 127.0.0.1"),
    ],
    masqAll: [keys("masqAll: the container sees the host's address whoever asks")],
    markMasqBit: [keys("markMasqBit: that bit of the mark is set on what is masqueraded, and no other")],
    externalSetMarkChain: [keys("externalSetMarkChain: that chain marks, and who made it masquerades")],
    conditionsV4: [conditions, testsOf("e2e/portmap-rows.test.ts")("a condition holds for the container's ports")],
    conditionsV6: [conditions],
    backend: [
      published,
      testsOf("plugins/portmap/config.test.ts")("takes the back end whose words its options use, where none is named"),
    ],
  },
  differences: [
    "A host port that another container or a program has is an error that names it; the reference's newer rule goes unheard.",
    "With nftables, too, only what is for the host's own addresses is redirected: what passes through with that port number is not.",
    "UDP connections that the kernel remembers are ended with DEL as well as with ADD.",
    "Ports above 65535 are refused.",
    "`route_localnet` does not open the host's 127.0.0.1 to containers or to the network that the host is on.",
    "Without `backend`, rules in both iptables-nft and iptables-legacy mean nftables, and a warning.",
    "Ports are elements of maps, or rules of two chains for all containers, in place of a chain each.",
  ],
};
