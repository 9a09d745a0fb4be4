/**
 * The plugins that this executable is, by the names that runtimes call them.
 *
 * @module
 */

export const pluginNames = [
  "bridge",
  "dhcp",
  "host-local",
  "loopback",
  "overlay",
  "portmap",
  "static",
  "tsnet",
] as const;

export type PluginName = (typeof pluginNames)[number];

/** Whether `name` is one of ours. */
export function isPluginName(name: string): name is PluginName {
  return (pluginNames as readonly string[]).includes(name);
}
