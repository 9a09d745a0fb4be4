/**
 * The reference plugins of the pinned release, to put beside ours.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { referencePrograms } from "../cluster/build.ts";

/** Undefined without Go: another release, such as Debian's, answers otherwise. */
export const reference = await pinned();

/** What a suite is called that needs them, so that one that is not run says why. */
export const WITH_REFERENCE =
  reference === undefined ? "the reference plugins (not tried: it takes Go to build them)" : "the reference plugins";

export interface Reference {
  /** Holds the plugins. */
  readonly directory: string;
  readonly cnitool: string;
}

async function pinned(): Promise<Reference | undefined> {
  try {
    const { directory, cnitool } = await referencePrograms();
    return cnitool === undefined ? undefined : { directory, cnitool };
  } catch (error) {
    if (isTsnetError(error, "not-found")) return undefined;
    throw error;
  }
}
