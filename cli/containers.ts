/**
 * The table of containers, as `up` and `ps` show it.
 *
 * @module
 */
import { writeStderr } from "../lib/sys/stdio.ts";
import { readFacts } from "../standalone/host/facts.ts";
import type { ContainerRecord } from "../standalone/state/records.ts";
import { age, type ContainerView, viewContainer } from "../standalone/view.ts";
import { type Column, type OutputFormat, printRows, styled } from "./output.ts";

/** Prints containers as a table, or as a JSON array; warnings go to standard error. */
export function printContainers(format: OutputFormat, records: readonly ContainerRecord[], withProject = false): void {
  const facts = records.some(({ ports }) => ports.length > 0) ? readFacts(new Set()) : NO_FACTS;
  const views = records.map((record) => viewContainer(record, facts));
  printRows(format, views, withProject ? [PROJECT, ...COLUMNS] : COLUMNS);
  if (format === "json") return;
  for (const { name, warnings } of views) {
    for (const warning of warnings) writeStderr(`${styled("warning:", "yellow")} ${name}: ${warning}\n`);
  }
}

const NO_FACTS = { listeners: [], ownerOf: () => undefined };

const PROJECT: Column<ContainerView> = { title: "PROJECT", cell: ({ project }) => project };

const COLUMNS: readonly Column<ContainerView>[] = [
  { title: "NAME", cell: ({ name }) => name },
  {
    title: "STATUS",
    cell: ({ status, startedAt }) => (status === "running" ? `running ${age(startedAt)}` : status),
    style: ({ status }) => (status === "running" || status === "connected" ? "green" : "red"),
  },
  {
    title: "NETWORK",
    // One that has ended, or left its last network, is on none.
    cell: ({ network, interfaces }) =>
      interfaces.map((one) => one.network).join(", ") || (network === "bridge" ? "-" : network),
  },
  {
    title: "ADDRESS",
    cell: ({ interfaces }) =>
      interfaces
        .flatMap(({ addresses }) => addresses)
        .map(withoutPrefix)
        .join(", ") || "-",
  },
  { title: "PORTS", cell: ({ ports }) => ports.join(", ") || "-" },
  { title: "COMMAND", cell: ({ command }) => command.join(" ") },
];

function withoutPrefix(cidr: string): string {
  return cidr.replace(/\/\d+$/, "");
}
