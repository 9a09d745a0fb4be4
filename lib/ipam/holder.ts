/**
 * What a reservation's file says about who has it. Pure.
 *
 * @module
 */

/** Who an address is reserved for. */
export interface Owner {
  readonly containerId: string;
  readonly ifname: string;
}

/** What was found in a reservation. */
export type Holder =
  /** Nothing: a plugin died between making the file and writing it. */
  | { readonly kind: "nobody" }
  | { readonly kind: "attachment"; readonly containerId: string; readonly ifname: string }
  /** A container id alone, as old versions of the reference wrote it; it could also be a word written by hand. */
  | { readonly kind: "container"; readonly containerId: string }
  /** Anything else: a reservation made by hand. */
  | { readonly kind: "hand"; readonly text: string };

/** Reads a file's text. */
export function parseHolder(text: string): Holder {
  // Some file systems fill with zeros what was not written in time before a power loss.
  if (text === "" || (text.startsWith("\0") && /^\0*$/.test(text))) return { kind: "nobody" };
  const trimmed = text.trim();
  const end = trimmed.indexOf("\r\n");
  const containerId = end < 0 ? trimmed : trimmed.slice(0, end);
  const ifname = end < 0 ? undefined : trimmed.slice(end + 2).split("\r\n", 1)[0];
  if (!CONTAINER_ID.test(containerId)) return { kind: "hand", text: trimmed };
  return ifname === undefined ? { kind: "container", containerId } : { kind: "attachment", containerId, ifname };
}

/** The text for an owner, as the reference writes it. */
export function formatHolder(owner: Owner): string {
  return `${owner.containerId}\r\n${owner.ifname}`;
}

/** Whether it names exactly this container and interface. */
export function isHeldBy(holder: Holder, owner: Owner): boolean {
  return holder.kind === "attachment" && holder.containerId === owner.containerId && holder.ifname === owner.ifname;
}

/** Whether it names this container and, as in old files, no interface. */
export function isHeldByContainer(holder: Holder, owner: Owner): boolean {
  return holder.kind === "container" && holder.containerId === owner.containerId;
}

/** For messages: `web eth0`. */
export function describeHolder(holder: Holder): string {
  switch (holder.kind) {
    case "nobody":
      return "nobody";
    case "attachment":
      return `${holder.containerId} ${holder.ifname}`;
    case "container":
      return holder.containerId;
    case "hand":
      return JSON.stringify(holder.text.slice(0, 100));
  }
}

// As the specification allows container ids.
const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
