/**
 * The network list that `tsnet install` writes: what it says, and under which name.
 *
 * @module
 */
import { type Cidr, formatCidr } from "../lib/net/cidr.ts";
import { nameAfter } from "../standalone/networks/sorting.ts";

/** `99-tsnet.conflist`, or a name that sorts after the last of `present`. */
export function conflistName(present: readonly string[]): string {
  return nameAfter("tsnet", present);
}

/**
 * The text of the list: a bridge with addresses out of `subnet`, and published ports. It names 1.0.0 first because
 * containerd 1.6 refuses a list of 1.1.0; what knows `cniVersions` takes 1.1.0.
 */
export function conflistText({ bridge, subnet }: { readonly bridge: string; readonly subnet: Cidr }): string {
  const list = {
    cniVersion: "1.0.0",
    cniVersions: ["1.0.0", "1.1.0"],
    name: "tsnet",
    plugins: [
      {
        type: "bridge",
        bridge,
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: formatCidr(subnet) }]],
          routes: [{ dst: subnet.address.family === 4 ? "0.0.0.0/0" : "::/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
  return `${JSON.stringify(list, null, 2)}\n`;
}
