/**
 * The daemon as the plugin sees it: there, ours, and asked.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../../lib/errors.ts";
import { askControl, askHttp, type ControlRequest } from "../../lib/sys/control.ts";
import { parseLeases } from "./protocol.ts";

/** ms for an answer that needs no server. */
export const SOON = 10_000;

/**
 * What the daemon at `socket` answers.
 *
 * @param timeoutMs without it, it is waited for as long as the daemon is there: it gives up by itself.
 * @throws TsnetError `not-found` if none listens, `conflict` if a foreign one does, `timeout`.
 */
export async function askDaemon(socket: string, request: ControlRequest, timeoutMs?: number): Promise<unknown> {
  try {
    return await askControl(socket, request, timeoutMs);
  } catch (error) {
    if (isTsnetError(error, "not-found")) throw away(socket, error);
    if (!isTsnetError(error, "io")) throw error;
    const who = await whoListens(socket);
    throw who === OURS ? error : foreign(socket, who, error);
  }
}

/** Who answers at `socket`, by name; undefined if nobody does. */
export async function whoListens(socket: string): Promise<string | undefined> {
  try {
    if (isLeases((await askHttp(socket, { method: "GET", path: "/leases" }, SOON)).text)) return OURS;
    // Go's net/rpc refuses whatever is no CONNECT: 405.
    const { status } = await askHttp(socket, { method: "GET", path: "/_goRPC_" }, SOON);
    return status === 405 ? GO : "a server that is no DHCP daemon";
  } catch (error) {
    if (isTsnetError(error, "timeout")) return "somebody who does not answer";
    return undefined;
  }
}

function isLeases(text: string): boolean {
  try {
    return parseLeases(JSON.parse(text)).length >= 0;
  } catch {
    return false;
  }
}

const OURS = "a DHCP daemon of tsnet";
const GO = "the DHCP daemon of containernetworking's plugins (it speaks Go RPC)";

function away(socket: string, cause: TsnetError): TsnetError {
  return new TsnetError(
    `no DHCP daemon at ${socket}: start it, by \`systemctl start tsnet-dhcp.socket\` or \`dhcp daemon\` (${cause.message})`,
    { code: "not-found", op: "ask the DHCP daemon", cause },
  );
}

function foreign(socket: string, who = "somebody else", cause: TsnetError): TsnetError {
  return new TsnetError(
    `at ${socket} listens ${who}, not tsnet's: leave ipam.daemonSocketPath out and start tsnet's \`dhcp daemon\`, or use that daemon's own dhcp plugin`,
    { code: "conflict", op: "ask the DHCP daemon", cause },
  );
}
