/**
 * A container that runs gets other networks or ports. First it leaves what it leaves, so that the networks can go and
 * the ports be others'; then, when the new networks are there, it joins them.
 *
 * Until it is done the record is of no fingerprint, so that an `up` that was cut off is finished by the next one.
 *
 * @module
 */
import type { Runtime } from "../lib/runtime/runtime.ts";
import { attach, detach, republish } from "./attach.ts";
import { writeHosts } from "./naming.ts";
import type { Change } from "./plan/change.ts";
import type { AttachmentRecord, ContainerRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

export interface Changing {
  readonly state: State;
  readonly runtime: Runtime;
}

const UNDER_WAY = "";

/** Takes the container off what it leaves, networks and ports. */
export async function leave(change: Change, { state, runtime }: Changing): Promise<void> {
  const { from, to } = change;
  state.putContainer({ ...from, fingerprint: UNDER_WAY });
  for (const one of change.leave.toReversed()) await detach(runtime, from, one);
  const less = change.republish === undefined ? undefined : lessPorts(from, change.republish);
  if (less !== undefined) await republish(runtime, from, less);
  const attachments = to.attachments.filter(({ addresses }) => addresses !== undefined);
  state.putContainer({ ...to, attachments, fingerprint: UNDER_WAY });
}

/** Puts it on what it joins. */
export async function join(change: Change, { state, runtime }: Changing): Promise<void> {
  let record: ContainerRecord = { ...change.to, fingerprint: UNDER_WAY };
  // Noted first: what a kill leaves of it is found again.
  state.putContainer(record);
  for (const one of change.join) {
    const joined = await attach(runtime, record, one);
    record = { ...record, attachments: record.attachments.map((there) => (there === one ? joined : there)) };
    state.putContainer(record);
  }
  if (change.republish !== undefined) await republish(runtime, record, change.republish);
  const done = { ...record, fingerprint: change.to.fingerprint };
  state.putContainer(done);
  writeHosts(done, state);
}

/** The interface with those of its ports alone that it goes on publishing; undefined if these are all. */
function lessPorts({ attachments }: ContainerRecord, wanted: AttachmentRecord): AttachmentRecord | undefined {
  const before = attachments.find(({ ifname }) => ifname === wanted.ifname);
  if (before === undefined) return undefined;
  const [was, is] = [mappingsOf(before), mappingsOf(wanted).map((port) => JSON.stringify(port))];
  const both = was.filter((port) => is.includes(JSON.stringify(port)));
  if (both.length === was.length) return undefined;
  const { portMappings: _, ...args } = before.capabilityArgs;
  return { ...before, capabilityArgs: both.length === 0 ? args : { ...args, portMappings: both } };
}

function mappingsOf({ capabilityArgs: { portMappings } }: AttachmentRecord): readonly unknown[] {
  return Array.isArray(portMappings) ? portMappings : [];
}
