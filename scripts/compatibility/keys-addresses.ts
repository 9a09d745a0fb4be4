/**
 * Keys of the plugins that give addresses.
 *
 * @module
 */
import { type DocumentedPlugin, type Shown, testsOf } from "./types.ts";

const local = testsOf("lib/ipam/host-local.test.ts");
const localCalls = testsOf("e2e/host-local.test.ts");
const range = testsOf("lib/ipam/range.test.ts");
const fixed = testsOf("e2e/static.test.ts");
const dhcp = testsOf("e2e/dhcp.test.ts");
const dhcpKeys = testsOf("e2e/keys-dhcp.test.ts");
const lease = testsOf("e2e/dhcp-lease.test.ts");
const daemon = testsOf("e2e/dhcp-daemon.test.ts");
const flags = testsOf("plugins/dhcp/flags.test.ts");

const order = local("takes ranges from the runtime, then the old single range, then the config's sets");
const part = range("may be a part of its subnet, with a gateway anywhere");
const whole = range("of IPv4 goes from the first address to the one before broadcast, the gateway being the first");
const old = local("takes the old keys of a single range");
const gives = local("gives an address, its gateway, the routes and the resolver, and no interfaces");
const asked = local("gives what is asked for by CNI_ARGS, by args.cni.ips and by the capability");

const HOST_LOCAL: DocumentedPlugin = {
  plugin: "host-local",
  page: "ipam/host-local",
  keys: {
    "ipam.routes": [gives],
    "ipam.resolvConf": [
      gives,
      testsOf("lib/ipam/resolv-conf.test.ts")("reads a resolver configuration, comments and unknown lines aside"),
    ],
    "ipam.dataDir": [localCalls("gives an address, answers for it, and takes it back")],
    "ipam.ranges": [order],
    "ipam.ranges[][].subnet": [order, whole],
    "ipam.ranges[][].rangeStart": [part],
    "ipam.ranges[][].rangeEnd": [part, whole],
    "ipam.ranges[][].gateway": [part, whole],
    "ipam.subnet": [old],
    "ipam.rangeStart": [old],
    "ipam.rangeEnd": [old],
    "ipam.gateway": [old],
    "IP of CNI_ARGS": [asked],
    "args.cni.ips": [asked],
    "runtimeConfig.ips": [asked],
    "runtimeConfig.ipRanges": [order],
  },
  differences: [
    "The files are the reference's, and either plugin takes over from the other under running containers.",
    "A file that is empty is what a crash left, and its address is free; a reservation is on disk before it counts.",
    "What has been held since before the last boot is freed by GC, and taken over when the range is full.",
    "STATUS of a pool that is used up is code 50, and the error of ADD says who holds what: the reference's STATUS succeeds.",
  ],
};

const configured = fixed("of %s gives addresses, routes and dns of the config, and packets pass");
const sources = fixed(
  "takes runtimeConfig.ips before args.cni.ips, both in place of all else, and IP and GATEWAY of CNI_ARGS beside the config",
);

const STATIC: DocumentedPlugin = {
  plugin: "static",
  page: "ipam/static",
  keys: {
    "ipam.addresses[].address": [configured],
    "ipam.addresses[].gateway": [configured],
    "ipam.routes": [configured],
    "ipam.dns": [configured],
    "IP of CNI_ARGS": [sources],
    "GATEWAY of CNI_ARGS": [sources],
    "runtimeConfig.ips": [sources],
    "args.cni.ips": [sources],
  },
  differences: [
    "`IP` of CNI_ARGS comes beside the config's addresses, as in the reference's source; its documentation has it alone.",
  ],
};

const all = flags("all flags are read in Go's forms");
const leased: Shown = dhcp("gets what the server says, is checked, and gives its address back");

const DHCP: DocumentedPlugin = {
  plugin: "dhcp",
  page: "ipam/dhcp",
  keys: {
    "ipam.daemonSocketPath": [daemon("serves another socket beside the first, with leases of its own")],
    "ipam.request[].skipDefault": [
      dhcpKeys("what request names alone, by number or name, with skipDefault"),
      dhcpKeys("the default and what request adds, without"),
    ],
    "ipam.request[].option": [
      dhcpKeys("what request names alone, by number or name, with skipDefault"),
      dhcp("gets the classless routes and the MTU that it asks for, in place of the router's"),
    ],
    "ipam.provide[].option": [dhcp("tells the server what the config provides, also from the caller's arguments")],
    "ipam.provide[].value": [dhcp("tells the server what the config provides, also from the caller's arguments")],
    "ipam.provide[].fromArg": [dhcp("tells the server what the config provides, also from the caller's arguments")],
    "ipam.priority": [leased],
    "options ip-address, subnet-mask, routers, static-routes": [leased],
    "option classless-static-routes": [
      dhcp("gets the classless routes and the MTU that it asks for, in place of the router's"),
    ],
    "option dhcp-lease-time": [
      lease("that a server refuses and gives to nobody is lost when it ends: the interface is down, CHECK says so"),
    ],
    "option dhcp-renewal-time": [lease("is renewed at T1, time and again, asking the server itself")],
    "option dhcp-rebinding-time": [lease("is rebound at T2 by a server that took the other's place")],
    "daemon -pidfile": [daemon("is alone at its socket, takes over from one that was killed, and writes its pid")],
    "daemon -hostprefix": [daemon("finds socket, leases and namespaces below -hostprefix")],
    "daemon -socketpath": [daemon("serves another socket beside the first, with leases of its own")],
    "daemon -broadcast": [
      all,
      testsOf("lib/dhcp/keeper.test.ts")(
        "tells the server what the config provides, in place of what it would say itself",
      ),
    ],
    "daemon -timeout, -resendmax, -resendtimeout": [all, dhcp("ADD fails in time, says why, and leaves nothing")],
    "daemon, socket activation": [daemon("takes the socket that the service manager opened, and leaves it")],
  },
  differences: [
    "The daemon listens at `/run/cni/tsnet-dhcp.sock`, and a reference's daemon at `daemonSocketPath` is an error that names it: the two do not understand each other, and may run side by side.",
    "A daemon that is started again goes on with its leases, which the reference's forgets.",
    "Name servers, domain and search list are asked for as well, and in the result.",
    "DEL gives the address back before the interface goes, GC for containers that are gone, and a lease that ends takes the interface down.",
    "Options that the client itself sets (50, 52 to 55) cannot be provided.",
    "Servers are asked again after half a second at first, where the reference waits for `-timeout`.",
  ],
};

export const ADDRESSES: readonly DocumentedPlugin[] = [HOST_LOCAL, STATIC, DHCP];
