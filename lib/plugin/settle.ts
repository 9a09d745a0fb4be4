/**
 * Waiting until the kernel has found no duplicate of an interface's IPv6 addresses, where a plugin leaves that to it.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { formatCidr } from "../net/cidr.ts";
import { addrList } from "../netlink/addr.ts";
import type { Link } from "../netlink/link.ts";
import type { RtSocket } from "../netlink/socket.ts";
import { requireLink } from "./link.ts";

/** IF_OPER_UP of linux/if.h. */
const IF_OPER_UP = 6;
const DEADLINE_MS = 5000;
const PAUSE_MS = 50;

/**
 * Waits for at most 5 s until no IPv6 address of the link is tentative. A link that has no carrier by then keeps them
 * tentative until it has one, which is no error.
 *
 * @throws TsnetError `conflict` if somebody else has an address; `timeout`.
 */
export function settleAddresses(socket: RtSocket, link: Pick<Link, "index" | "name">): void {
  for (const deadline = performance.now() + DEADLINE_MS; ; Bun.sleepSync(PAUSE_MS)) {
    const addresses = addrList(socket, { index: link.index, family: 6 });
    const taken = addresses.find(({ dadFailed }) => dadFailed);
    if (taken !== undefined) {
      throw new TsnetError(
        `link ${link.name} has address ${formatCidr(taken.cidr)} in DADFAILED state: somebody else on its network has it`,
        { code: "conflict", op: "settle addresses" },
      );
    }
    if (!addresses.some(({ tentative }) => tentative)) return;
    if (performance.now() < deadline) continue;
    if (requireLink(socket, link.name).operstate !== IF_OPER_UP) return;
    throw new TsnetError(`link ${link.name} still has tentative addresses after ${DEADLINE_MS / 1000} seconds`, {
      code: "timeout",
      op: "settle addresses",
    });
  }
}
