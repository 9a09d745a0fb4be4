/**
 * The rules for names that a caller gives: they end up in paths, link names and rules, so nothing else is let in.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

/** Specification 1.1.0, section 2, "Parameters": container ids and network names. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** `IFNAMSIZ` of linux/if.h, less the closing zero. */
const IFNAME_MAX_BYTES = 15;

export function isName(text: string): boolean {
  return NAME.test(text);
}

/** @throws TsnetError `environment`. */
export function checkContainerId(id: string): void {
  if (id === "") throw new TsnetError("missing containerID", { code: "environment" });
  if (!isName(id)) {
    throw new TsnetError("invalid characters in containerID", { code: "environment", details: JSON.stringify(id) });
  }
}

/** @throws TsnetError `invalid`. */
export function checkNetworkName(name: string): void {
  if (name === "") throw new TsnetError("missing network name", { code: "invalid" });
  if (!isName(name)) {
    throw new TsnetError("invalid characters found in network name", {
      code: "invalid",
      details: JSON.stringify(name),
    });
  }
}

/** The kernel's own rule (`dev_valid_name`). @throws TsnetError `environment`. */
export function checkInterfaceName(name: string): void {
  const fault = interfaceNameFault(name);
  if (fault !== undefined) {
    throw new TsnetError(`interface name ${fault}`, { code: "environment", details: JSON.stringify(name) });
  }
}

/** Whether the kernel could have a link of that name. */
export function isInterfaceName(name: string): boolean {
  return interfaceNameFault(name) === undefined;
}

function interfaceNameFault(name: string): string | undefined {
  if (name === "") return "is empty";
  if (Buffer.byteLength(name) > IFNAME_MAX_BYTES) return `is too long: at most ${IFNAME_MAX_BYTES} bytes`;
  if (name === "." || name === "..") return "is . or ..";
  // A NUL cannot come by the environment, but by a file.
  if (/[/:\s\0]/.test(name)) return "contains / or : or whitespace characters";
  return undefined;
}
