/**
 * What long work is at, for whoever waits for it.
 *
 * @module
 */

/** Told of each container what is done with it or what it waits for; undefined once that is over. */
export type Progress = (name: string, doing: string | undefined) => void;
