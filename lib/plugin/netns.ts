/**
 * The namespaces of a call: the host's, in which the plugin runs, and the container's.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import { RtSocket } from "../netlink/socket.ts";
import { type Netns, openNetns } from "../sys/netns.ts";

/** Both namespaces, each with a socket; closed by `using`. */
export interface Namespaces extends Disposable {
  readonly host: RtSocket;
  readonly container: RtSocket;
  readonly netns: Netns;
}

/** Opens both. @throws TsnetError `not-found` or `invalid-netns`, naming the path. */
export function openNamespaces(path: string): Namespaces {
  const netns = openNetns(path);
  const host = RtSocket.open();
  const container = RtSocket.open(netns);
  return {
    host,
    container,
    netns,
    [Symbol.dispose]() {
      host.close();
      container.close();
      netns.close();
    },
  };
}

/** For DEL: the runtime may have removed the namespace before it calls us, and some leave an empty file in its place. */
export function openIfThere(path: string): Netns | undefined {
  if (path === "") return undefined;
  try {
    return openNetns(path);
  } catch (error) {
    if (isTsnetError(error, "not-found", "invalid-netns")) return undefined;
    throw error;
  }
}

/** Runs `work` with a socket in the namespace; undefined without running it where the namespace is gone. */
export function insideIfThere<T>(path: string, work: (container: RtSocket, netns: Netns) => T): T | undefined {
  const netns = openIfThere(path);
  if (netns === undefined) return undefined;
  try {
    using container = RtSocket.open(netns);
    return work(container, netns);
  } finally {
    netns.close();
  }
}
