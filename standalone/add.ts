/**
 * One container, made: its namespace, its networks, its command.
 *
 * @module
 */
import type { Runtime } from "../lib/runtime/runtime.ts";
import { connect } from "./attach.ts";
import type { Streams } from "./container/launch.ts";
import { type Started, startContainer } from "./container/start.ts";
import { removeContainer } from "./down.ts";
import { syncHelper } from "./helper/client.ts";
import { namingOf } from "./naming.ts";
import type { Progress } from "./progress.ts";
import type { ContainerRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";
import type { Turnstile } from "./turnstile.ts";

export interface Adding {
  readonly state: State;
  readonly runtime: Runtime;
  readonly turnstile: Turnstile;
  /** Our own streams for the command, in place of its log. */
  readonly streams?: Streams;
  /** Told whenever more is known of it. */
  readonly note?: (record: ContainerRecord) => void;
  readonly progress?: Progress;
}

/** Makes one container, or leaves nothing of it. */
export async function addContainer(record: ContainerRecord, adding: Adding): Promise<Started> {
  const { state, runtime, turnstile, streams, progress } = adding;
  let latest = record;
  const note = (known: ContainerRecord) => {
    latest = known;
    state.putContainer(known);
    adding.note?.(known);
  };
  note(record);
  try {
    progress?.(record.name, "joins its networks");
    note(await connect(runtime, record, turnstile));
    const naming = namingOf(latest, state);
    const served = () => {
      progress?.(record.name, "has its names and ports made known");
      return syncHelper(state);
    };
    progress?.(record.name, "gets its root");
    const folder = state.folderOf(record.name);
    const ours = streams === undefined ? {} : { streams };
    const started = await startContainer({ record: latest, folder, naming, note, served, ...ours });
    note(started.record);
    return started;
  } catch (error) {
    progress?.(record.name, "could not be made, and is taken back");
    await removeContainer(latest, { state, runtime, graceSeconds: 0 });
    throw error;
  } finally {
    progress?.(record.name, undefined);
  }
}
