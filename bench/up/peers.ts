/**
 * The programs that ours are compared with, as Debian has them, and how to get those that are missing.
 *
 * @module
 */
import { existsSync } from "node:fs";

/** A program of Debian's. */
interface Peer {
  readonly paths: readonly string[];
  readonly package: string;
}

const PEERS = {
  podman: { paths: ["/usr/bin/podman"], package: "podman" },
  runc: { paths: ["/usr/sbin/runc", "/usr/bin/runc"], package: "runc" },
  netavark: { paths: ["/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"], package: "netavark" },
  "aardvark-dns": {
    paths: ["/usr/lib/podman/aardvark-dns", "/usr/libexec/podman/aardvark-dns"],
    package: "aardvark-dns",
  },
  dnsmasq: { paths: ["/usr/sbin/dnsmasq"], package: "dnsmasq-base" },
} as const satisfies Readonly<Record<string, Peer>>;

export type PeerName = keyof typeof PEERS;

/** Where the program is. @throws Error that says how to install it. */
export function pathOf(name: PeerName): string {
  const { paths, package: debian } = PEERS[name];
  const path = paths.find((one) => existsSync(one));
  if (path !== undefined) return path;
  throw new Error(
    `${name} is missing (looked for ${paths.join(", ")}): apt-get install --no-install-recommends ${debian}`,
  );
}
