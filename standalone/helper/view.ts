/**
 * What the host's helper serves, and what its parts are: names, ports.
 *
 * @module
 */
import type { ContainerRecord, NetworkRecord } from "../state/records.ts";

/** All that there is to serve, of every project. */
export interface HelperView {
  /**
   * Those whose first process runs, or waits at its gate with its interfaces in place, and foreign ones whose owner
   * is there. One that has ended is not among them.
   */
  readonly containers: readonly ContainerRecord[];
  /** Those of ours whose command has ended and that nobody has stopped or removed yet: their rules are there. */
  readonly ended: readonly ContainerRecord[];
  readonly networks: readonly NetworkRecord[];
}

/**
 * One thing that the helper does for containers.
 *
 * `sync` makes it so for just what the view holds: what is new is begun, what is gone is closed, all else is left
 * alone. It is called often, also where nothing has changed but somebody may have taken something away, so it
 * compares with the kernel and is cheap where all is well. Calls never overlap. What it throws is a warning for
 * whoever changed the state, and keeps nothing else from being served: it goes on past what fails for one container
 * and throws at its end.
 *
 * `close` lets go of everything at once: the helper ends.
 */
export interface HelperPart {
  sync(view: HelperView): Promise<void>;
  close(): void;
}
