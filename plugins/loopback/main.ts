/**
 * The loopback plugin: brings lo up in the container's namespace, and says what is on it.
 *
 * CNI_IFNAME is ignored, as the reference does: runtimes pass eth0 or lo.
 *
 * @module
 */

import type { CniResult, Plugin, PluginCall } from "../../lib/cni/types.ts";
import { hasErrno, isTsnetError, TsnetError } from "../../lib/errors.ts";
import { formatCidr } from "../../lib/net/cidr.ts";
import { addrList } from "../../lib/netlink/addr.ts";
import { type Link, linkGet, linkSet } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { openNetns } from "../../lib/sys/netns.ts";

export const plugin: Plugin = { name: "loopback", add, del, check, gc() {}, status() {} };

function add(call: PluginCall): CniResult {
  const result = inNamespace(call.netns, (socket) => {
    linkSet(socket, "lo", { up: true });
    const lo = requireLo(socket, call.netns);
    const addresses = addrList(socket, { index: lo.index }).filter((addr) => isLoopback(formatCidr(addr.cidr)));
    return {
      interfaces: [{ name: "lo", mac: lo.mac, sandbox: call.netns }],
      ips: addresses.map((addr) => ({ interface: 0, address: addr.cidr })),
      routes: [],
      dns: {},
    };
  });
  return call.conf.prevResult ?? result;
}

/** A namespace that is gone took its lo with it. */
function del(call: PluginCall): void {
  if (call.netns === "") return;
  try {
    inNamespace(call.netns, (socket) => linkSet(socket, "lo", { up: false }));
  } catch (error) {
    if (!isTsnetError(error, "not-found", "invalid-netns") && !hasErrno(error, "ENODEV")) throw error;
  }
}

function check(call: PluginCall): void {
  const up = inNamespace(call.netns, (socket) => requireLo(socket, call.netns).up);
  if (!up)
    throw new TsnetError(`lo in ${call.netns} is down, wanted up`, { code: "check-failed", op: "CHECK loopback" });
}

function inNamespace<T>(path: string, work: (socket: RtSocket) => T): T {
  const netns = openNetns(path);
  try {
    using socket = RtSocket.open(netns);
    return work(socket);
  } finally {
    netns.close();
  }
}

function requireLo(socket: RtSocket, path: string): Link {
  const lo = linkGet(socket, "lo");
  if (lo === undefined) throw new TsnetError(`no lo in ${path}`, { code: "not-found", op: "loopback" });
  return lo;
}

function isLoopback(cidr: string): boolean {
  return cidr === "127.0.0.1/8" || cidr === "::1/128";
}
