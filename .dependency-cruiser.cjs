/**
 * Who may import whom: downward only. `npm run check` fails on anything else.
 *
 *     cli -> plugins, standalone, proxy, overlay, lib        standalone -> lib/runtime, lib/*
 *     plugins/x -> lib, never plugins/y (but tsnet)   proxy, overlay -> lib        lib: the table below
 *
 * @type {import("dependency-cruiser").IConfiguration}
 */
// What each part of lib stands on. All of them may also use the ground: errors, undo and log.
const LIB = {
  net: [],
  sys: [],
  netlink: ["sys", "net"],
  nft: ["sys", "net"],
  iptables: ["sys", "net"],
  ipset: ["sys"],
  conntrack: ["sys", "net"],
  cni: ["sys", "net"],
  ipam: ["sys", "net", "cni"],
  firewall: ["sys", "net", "cni", "nft", "iptables", "conntrack", "firewalld"],
  firewalld: ["sys"],
  runtime: ["sys", "net", "cni"],
  kube: ["sys", "net", "daemon"],
  daemon: ["sys"],
  etcd: ["sys", "net", "daemon"],
  overlay: ["sys", "net"],
  dhcp: ["net", "daemon"],
  plugin: ["sys", "net", "netlink", "cni", "ipam", "firewall"],
};

const GROUND = "^lib/(errors|undo|log)\\.ts$";

// The only door to the operating system is lib/sys.
const SYSTEM = "^(node:)?(fs|fs/promises|child_process|dgram|net)$|^bun:ffi$|^node_modules/execa/";

const directionsOfLib = Object.entries(LIB).map(([part, below]) => ({
  name: `lib/${part}`,
  comment: `lib/${part} stands on ${below.map((name) => `lib/${name}`).join(", ") || "errors, undo and log alone"}`,
  severity: "error",
  from: { path: `^lib/${part}/` },
  to: {
    path: "^(lib|plugins|standalone|proxy|overlay|cli)/",
    pathNot: [GROUND, `^lib/(${[part, ...below].join("|")})/`],
  },
}));

module.exports = {
  forbidden: [
    ...directionsOfLib,
    {
      name: "ground",
      comment: "errors, undo and log stand on nothing but each other, and log on standard error",
      severity: "error",
      from: { path: GROUND },
      to: { path: "^(lib|plugins|standalone|proxy|overlay|cli)/", pathNot: [GROUND, "^lib/sys/stdio\\.ts$"] },
    },
    {
      name: "lib-is-listed",
      comment: "a new part of lib is given its place in the table of .dependency-cruiser.cjs",
      severity: "error",
      from: { path: "^lib/[^/]+/", pathNot: `^lib/(${Object.keys(LIB).join("|")})/` },
      to: {},
    },
    {
      name: "plugins-stand-on-lib",
      severity: "error",
      from: { path: "^plugins/" },
      to: { path: "^(standalone|proxy|overlay|cli)/" },
    },
    {
      name: "plugins-compose-by-protocol",
      comment:
        "a plugin never imports another one: they compose by CNI; tsnet alone, a chain in one exec, is made of them",
      severity: "error",
      from: { path: "^plugins/([^/]+)/", pathNot: "^plugins/tsnet/" },
      to: { path: "^plugins/[^/]+/", pathNot: "^plugins/$1/" },
    },
    {
      name: "standalone-stands-on-lib",
      severity: "error",
      from: { path: "^standalone/" },
      to: { path: "^(plugins|proxy|overlay|cli)/" },
    },
    {
      name: "proxy-stands-on-lib",
      severity: "error",
      from: { path: "^proxy/" },
      to: { path: "^(plugins|standalone|overlay|cli)/" },
    },
    {
      name: "overlay-stands-on-lib",
      severity: "error",
      from: { path: "^overlay/" },
      to: { path: "^(plugins|standalone|proxy|cli)/" },
    },
    {
      name: "one-door-to-the-system",
      comment: "files, processes and foreign functions are reached through lib/sys",
      severity: "error",
      from: { pathNot: "^lib/sys/" },
      to: { path: SYSTEM },
    },
    {
      name: "fakes-are-for-tests",
      severity: "error",
      from: { pathNot: "\\.fake\\.ts$" },
      to: { path: "\\.fake\\.ts$" },
    },
    {
      name: "no-cycles",
      comment: "a type may be named both ways; what is loaded may not",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "tests-are-not-shipped",
      severity: "error",
      from: {},
      to: { path: "^(test|bench|scripts)/" },
    },
    {
      name: "shipped-packages-are-dependencies",
      comment: "what the executable is made of stands under dependencies, not devDependencies",
      severity: "error",
      from: {},
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "no-unresolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "require", "node", "default"] },
  },
};
