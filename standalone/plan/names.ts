/**
 * How what belongs to a project is named, so that everybody sees whose it is: its namespaces, links, rules and
 * files carry the project's name.
 *
 * @module
 */
import { hashedName } from "../../lib/cni/hash.ts";
import { NETNS_DIR } from "../../lib/sys/netns.ts";

/** A network's or a container's name on the host: `hello.web`. */
export function idOf(project: string, name: string): string {
  return `${project}.${name}`;
}

/** The path of the container's network namespace: `ip netns` shows it by its id. */
export function netnsPath(id: string): string {
  return `${NETNS_DIR}/${id}`;
}

/** Names for a network's bridge, best first; a link's name has at most 15 bytes. */
export function bridgeNames(project: string, network: string): readonly string[] {
  const plain = `${project}-${network}`;
  const hashed = hashedName("tsnet-", idOf(project, network), 15);
  return plain.length <= 15 ? [plain, hashed] : [hashed];
}
