/**
 * The tables of `tsnet cni`.
 *
 * @module
 */
import type { Attachment } from "../lib/cni/types.ts";
import { parseResult } from "../lib/cni/versions.ts";
import { formatAddress } from "../lib/net/address.ts";
import { formatCidr } from "../lib/net/cidr.ts";
import type { JsonObject } from "../lib/runtime/list.ts";
import { type Column, type OutputFormat, printRows } from "./output.ts";

/** One line an attachment. */
export function printAttachments(
  format: OutputFormat,
  rows: readonly (Attachment & { readonly state: string })[],
): void {
  printRows(format, rows, [
    { title: "NETWORK", cell: (row) => row.network },
    { title: "CONTAINER", cell: (row) => row.containerId },
    { title: "INTERFACE", cell: (row) => row.ifname },
    { title: "STATE", cell: (row) => row.state },
  ]);
}

/** The result of an ADD: one line an address; an interface of the container without any has a line of its own. */
export function printResult(format: OutputFormat, json: JsonObject): void {
  const { interfaces, ips } = parseResult(json, String(json.cniVersion));
  const bare = interfaces.filter(({ sandbox }, at) => (sandbox ?? "") !== "" && !ips.some((ip) => ip.interface === at));
  const rows = [
    ...ips.map((ip) => ({ ...interfaces[ip.interface ?? -1], address: formatCidr(ip.address), gateway: ip.gateway })),
    ...bare.map((each) => ({ ...each, address: "-", gateway: undefined })),
  ];
  const columns: readonly Column<(typeof rows)[number]>[] = [
    { title: "INTERFACE", cell: (row) => row.name ?? "-" },
    { title: "ADDRESS", cell: (row) => row.address },
    { title: "GATEWAY", cell: (row) => (row.gateway === undefined ? "-" : formatAddress(row.gateway)) },
    { title: "MAC", cell: (row) => row.mac ?? "-" },
  ];
  printRows(format, rows, columns, () => json);
}
