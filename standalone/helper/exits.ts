/**
 * How containers end: the helper holds each first process by a descriptor, hears of its end, and learns the exit
 * code though it is not the parent, from Linux 6.15 on.
 *
 * @module
 */
import { endedAmong, endingOf, type HeldProcess, holdProcess } from "../../lib/sys/pidfd.ts";
import { isRunning } from "../container/stop.ts";
import type { ContainerRecord } from "../state/records.ts";

/** A container whose first process is no more. */
export interface Ended {
  readonly name: string;
  readonly process: NonNullable<ContainerRecord["process"]>;
  /** Its exit code, or 128 and the signal's number; undefined where the kernel does not tell us. */
  readonly code: number | undefined;
}

interface Held extends HeldProcess {
  readonly name: string;
}

export class Exits {
  readonly #held = new Map<string, Held>();

  /** Holds the first processes of just these containers; what is foreign does not end by us. */
  follow(records: readonly ContainerRecord[]): void {
    const ours = records.filter(({ network, process }) => network !== "foreign" && process !== undefined);
    const wanted = new Map(ours.map((record) => [keyOf(record), record]));
    for (const [key, held] of this.#held) {
      // One that has ended is no longer among them, and not forgotten before it has been told of.
      if (!wanted.has(key) && endedAmong([held]).length === 0) this.#drop(key, held);
    }
    for (const [key, { name, process }] of wanted) {
      if (process === undefined || this.#held.has(key)) continue;
      const held = holdProcess(process);
      if (held !== undefined) this.#held.set(key, { ...held, name });
    }
  }

  /** Those that have ended since the last call. Does not wait. */
  poll(): readonly Ended[] {
    return endedAmong([...this.#held.values()]).flatMap((held): readonly Ended[] => {
      const ending = endingOf(held);
      // Its parent is about to hear of it first.
      if (ending.kind === "unreaped") return [];
      const { name, process } = held;
      this.#drop(keyOf({ name, process }), held);
      return [{ name, process, code: ending.kind === "ended" ? ending.code : undefined }];
    });
  }

  /** Those whose first process runs. */
  running(records: readonly ContainerRecord[]): readonly ContainerRecord[] {
    const ended = new Set(endedAmong([...this.#held.values()]).map(keyOf));
    return records.filter((record) => {
      const key = keyOf(record);
      return this.#held.has(key) ? !ended.has(key) : isRunning(record);
    });
  }

  close(): void {
    for (const [key, held] of this.#held) this.#drop(key, held);
  }

  #drop(key: string, held: Held): void {
    this.#held.delete(key);
    held.close();
  }
}

/** A container whose command was started anew is another one. */
export function keyOf({ name, process }: Pick<ContainerRecord, "name" | "process">): string {
  return `${name} ${process?.pid} ${process?.startTime}`;
}
