/**
 * The part of a network config that says how packets go from host to host.
 *
 * `MTU` is what flannel means by it: of the packets that leave the host, so that what VXLAN adds is still to be taken
 * off for the device. Where IPv6 carries packets too that is 70 bytes, not 50.
 *
 * @module
 */
import { suggest } from "../../lib/suggest.ts";
import type { Backend, HostGwBackend, VxlanBackend } from "../types.ts";
import { type Fields, type Findings, isFields, Section } from "./section.ts";

/** Bytes that VXLAN adds: the outer IP header (20 or 40), UDP (8), VXLAN (8), the inner Ethernet header (14). */
const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;

/** As the kernel has it unless told; IANA's is 4789. */
const DEFAULT_PORT = 8472;
const TYPES = ["vxlan", "host-gw"] as const;
const FLANNEL_TYPES = ["alloc", "extension", "ipip", "ipsec", "tencent-vpc", "udp", "wireguard"];
const VXLAN_KEYS = ["Type", "VNI", "Port", "MTU", "Learning", "GBP", "DirectRouting", "ChecksumOffload"];

interface BackendOptions {
  readonly findings: Findings;
  /** Packets travel over IPv6 too. */
  readonly overV6: boolean;
}

/** Reads `Backend`; undefined means vxlan with its defaults. Problems are told to the findings. */
export function parseBackend(data: unknown, options: BackendOptions): Backend {
  const fields = data === undefined ? {} : data;
  if (!isFields(fields)) {
    options.findings.problems.push(`Backend: it is ${JSON.stringify(data)}, wanted is {"Type": "vxlan"}`);
    return parseVxlan({}, options);
  }
  const type = typeOf(typeIn(fields), options.findings);
  if (type === undefined) return parseVxlan({}, options);
  return type === "host-gw" ? parseHostGw(fields, options) : parseVxlan(fields, options);
}

function parseVxlan(fields: Fields, { findings, overV6 }: BackendOptions): VxlanBackend {
  const section = new Section(fields, { path: "Backend.", known: VXLAN_KEYS, findings });
  const vni = section.whole("VNI", 1, 2 ** 24 - 1) ?? 1;
  const port = section.whole("Port", 0, 65_535) ?? 0;
  return {
    type: "vxlan",
    vni,
    port: port === 0 ? DEFAULT_PORT : port,
    mtu: parseMtu(section, { overV6, overhead: VXLAN_OVERHEAD[overV6 ? 6 : 4] }),
    learning: section.flag("Learning") ?? false,
    gbp: section.flag("GBP") ?? false,
    directRouting: section.flag("DirectRouting") ?? false,
    checksumOffload: section.flag("ChecksumOffload") ?? true,
  };
}

function parseHostGw(fields: Fields, { findings, overV6 }: BackendOptions): HostGwBackend {
  const section = new Section(fields, { path: "Backend.", known: VXLAN_KEYS, findings });
  for (const key of VXLAN_KEYS) {
    if (key !== "Type" && key !== "MTU" && section.has(key)) section.warning(key, "it changes nothing with host-gw");
  }
  return { type: "host-gw", mtu: parseMtu(section, { overV6, overhead: 0 }) };
}

/** Of containers: at least what every IPv4 host takes whole (RFC 791), or without which there is no IPv6 (RFC 8200). */
function parseMtu(section: Section, { overV6, overhead }: { overV6: boolean; overhead: number }): number | undefined {
  const least = (overV6 ? 1280 : 576) + overhead;
  // Zero means unset in Go.
  if (section.data("MTU") === 0) return undefined;
  const mtu = section.whole("MTU", least, 65_535);
  return mtu === undefined ? undefined : mtu - overhead;
}

/** The type decides which keys are known, so that it is looked for before they are. */
function typeIn(fields: Fields): unknown {
  return Object.entries(fields).findLast(([key]) => key.toLowerCase() === "type")?.[1] ?? undefined;
}

function typeOf(data: unknown, { problems }: Findings): Backend["type"] | undefined {
  const type = data === undefined || data === "" ? "vxlan" : String(data).toLowerCase();
  if (type === "vxlan" || type === "host-gw") return type;
  const meant = suggest(type, TYPES);
  problems.push(
    FLANNEL_TYPES.includes(type)
      ? `Backend.Type: flannel's ${type} is not there: choose ${TYPES.join(" or ")}`
      : `Backend.Type: ${JSON.stringify(data)} is not one of ${TYPES.join(", ")}${meant === undefined ? "" : `: did you mean ${meant}?`}`,
  );
  return undefined;
}
