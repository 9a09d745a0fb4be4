/**
 * The lists of the chain's bench: five plugins, and the same five as the parts of one.
 *
 * @module
 */
import type { Container, PluginConf, Side } from "./call.ts";
import { type Backend, PORTS, withPorts } from "./scenario.ts";

/** Bits a second, far above what a probe sends. */
const RATE = 1_000_000_000;
/** Bits. */
const BURST = 10_000_000;
/** What tuning sets in the container. */
export const TUNED = { key: "net/core/somaxconn", value: "500" } as const;

type Lists = (side: Side, container?: Container) => readonly PluginConf[];

/** bridge (ipMasq), portmap, firewall, bandwidth, tuning. */
export function chain(backend: Backend): Lists {
  return (side, container) => {
    const [bridge, portmap] = withPorts(backend)(side);
    return [
      bridge,
      { ...portmap, runtimeConfig: { portMappings: portsOf(container) } },
      // The reference has no nftables there.
      { type: "firewall", backend: side.name === "ours" ? backend : "iptables" },
      { type: "bandwidth", ingressRate: RATE, ingressBurst: BURST, egressRate: RATE, egressBurst: BURST },
      { type: "tuning", sysctl: { [TUNED.key.replaceAll("/", ".")]: TUNED.value } },
    ].filter((conf): conf is PluginConf => conf !== undefined);
  };
}

/** Ours in one exec, the peer's as a list. */
export function oneExec(backend: Backend): Lists {
  return (side, container) => {
    const list = chain(backend)(side, container);
    return side.name === "ours" ? [inOne(list)] : list;
  };
}

function inOne(list: readonly PluginConf[]): PluginConf {
  const parts = list.map(({ runtimeConfig: _, ...part }) => part);
  const runtimeConfig = Object.assign({}, ...list.map((part) => part.runtimeConfig));
  return { type: "tsnet", capabilities: { portMappings: true }, runtimeConfig, parts };
}

/** The host's ports are for one container each: a crowd's are counted up by the number at the end of its id. */
function portsOf(container: Container | undefined): readonly object[] {
  const [, number] = /-(\d+)$/.exec(container?.id ?? "") ?? [];
  if (number === undefined) return PORTS;
  return PORTS.map((port, at) => ({ ...port, hostPort: 20_000 + 2 * Number(number) + at }));
}
