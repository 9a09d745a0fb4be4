/**
 * Feature gates: a cluster sets one map on all its components, so what has no meaning here is no mistake.
 *
 * @module
 */

/** Gates that kube-proxy 1.30 to 1.36 asked for itself, and whose feature is always on here. */
const ALWAYS_ON: ReadonlySet<string> = new Set([
  "ContextualLogging",
  "KubeProxyDrainingTerminatingNodes",
  "LoadBalancerIPMode",
  "LoggingBetaOptions",
  "MultiCIDRServiceAllocator",
  "NFTablesProxyMode",
  "PreferSameTrafficDistribution",
  "ServiceTrafficDistribution",
  "TopologyAwareHints",
  "WatchList",
  "WatchListClient",
]);

/** A line for each gate that cannot be had as it is set. */
export function gateWarnings(gates: Readonly<Record<string, boolean>>): readonly string[] {
  return Object.entries(gates).flatMap(([name, on]) => {
    if (!ALWAYS_ON.has(name)) return [`featureGates.${name}: it changes nothing here`];
    return on ? [] : [`featureGates.${name}: what it turns off is always on here`];
  });
}
