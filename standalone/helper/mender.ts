/**
 * What somebody took away is put back: rules that were flushed, interfaces, bridges and addresses that were deleted.
 *
 * An event only says that it is time to look. Looking changes nothing, so that on a host where others change rules
 * all day nothing of ours is ever written, and no command waits. What seems to be missing is looked for once more with
 * the state locked, for a command may have been about to make it.
 *
 * @module
 */
import { joinErrors, messageOf } from "../../lib/errors.ts";
import { chooseFirewall } from "../../lib/firewall/firewall.ts";
import { openRuntime, reconnect } from "../attach.ts";
import { isGuarded, restoreGuard } from "../forwarding.ts";
import { isolate, missingIsolation } from "../isolation/isolation.ts";
import { acceptForwarding, checkForwarding } from "../network.ts";
import type { ContainerRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import { askNeighboursAnew, type LinkDamage, linkDamage, type Members, mendBridge } from "./links.ts";
import type { Disturbed } from "./lookout.ts";
import type { HelperView } from "./view.ts";

/**
 * Where others change rules without end, or take ours away each time, tending takes this part of the time; else it
 * may take that many ms in one go.
 */
const SHARE = 0.1;
const ROOM = 10_000;
/** How many containers get their interfaces back at a time. */
const WORKERS = 8;
/** Milliseconds to the next try after one that failed; doubled each time. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;

export interface MenderOptions {
  readonly state: State;
  /** One line for people. */
  readonly say: (message: string) => void;
  /** ms. */
  readonly now?: () => number;
}

export class Mender {
  readonly #state: State;
  readonly #say: (message: string) => void;
  readonly #now: () => number;
  #links = true;
  #rules = true;
  #notBefore = 0;
  #failures = 0;
  /** ms that tending may take, as of a moment. */
  #budget = { ms: ROOM, at: 0 };
  /** How often something was put back. */
  repairs = 0;

  constructor({ state, say, now = () => performance.now() }: MenderOptions) {
    this.#state = state;
    this.#say = say;
    this.#now = now;
  }

  /** Something may have been taken away. */
  disturb({ links, rules }: Disturbed): void {
    this.#links ||= links;
    this.#rules ||= rules;
  }

  /** Looks, and puts back what is missing, if it is time. True if something was put back. */
  async tend(look: () => HelperView): Promise<boolean> {
    const due = (this.#links || this.#rules) && this.#now() >= this.#notBefore && this.#mayLook();
    // Whoever is at work makes and removes what we look at.
    if (!due || isBusy(this.#state)) return false;
    const begun = this.#now();
    const asked = { links: this.#links, rules: this.#rules };
    this.#links = false;
    this.#rules = false;
    try {
      const mended = (await findDamage(this.#state, look(), asked)) !== undefined && (await this.#mend(look, asked));
      this.#failures = 0;
      // The next look shows whether it lasts.
      if (mended) this.disturb({ links: true, rules: true });
      return mended;
    } catch (error) {
      this.#failures++;
      this.disturb(asked);
      this.#notBefore = this.#now() + Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (this.#failures - 1));
      this.#say(`cannot put back what is missing: ${messageOf(error)}`);
      return false;
    } finally {
      this.#budget.ms -= this.#now() - begun;
    }
  }

  #mayLook(): boolean {
    const now = this.#now();
    const earned = (now - this.#budget.at) * SHARE;
    this.#budget = { ms: Math.min(ROOM, this.#budget.ms + earned), at: now };
    return this.#budget.ms > 0;
  }

  /** Looks again with everybody kept away, and mends. */
  async #mend(look: () => HelperView, asked: Disturbed): Promise<boolean> {
    const lock = this.#state.tryLock();
    if (lock === undefined) {
      this.disturb(asked);
      return false;
    }
    try {
      const view = look();
      const damage = await findDamage(this.#state, view, asked);
      if (damage === undefined) return false;
      await this.#mendRules(damage, view);
      await this.#mendLinks(damage, view);
      this.repairs++;
      return true;
    } finally {
      lock.release();
    }
  }

  async #mendRules({ rules }: Damage, { networks }: HelperView): Promise<void> {
    if (rules === undefined) return;
    this.#say(`rules were taken away, and are put back: ${rules}`);
    // Walls first: what is open for a moment is worse than what is shut.
    await isolate(networks);
    await restoreGuard(this.#state);
    await (await chooseFirewall()).reload();
    for (const network of networks) await acceptForwarding(network);
  }

  async #mendLinks({ bridges, containers }: Damage, view: HelperView): Promise<void> {
    for (const network of bridges) {
      this.#say(`bridge ${network.bridge} lacks an address or is down, and is put right`);
      mendBridge(network);
    }
    const errors: unknown[] = [];
    const queue = [...containers];
    const worker = async () => {
      for (let record = queue.shift(); record !== undefined; record = queue.shift()) {
        await this.#reconnect(record).catch((error: unknown) => errors.push(error));
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, worker));
    if (bridges.length + containers.length > 0) askNeighboursAnew(touched(view, { bridges, containers }));
    // Its plugins look at their own rules alone.
    if (containers.length > 0) for (const network of view.networks) await acceptForwarding(network);
    if (errors.length > 0) throw joinErrors("put interfaces back", errors);
  }

  async #reconnect(record: ContainerRecord): Promise<void> {
    this.#say(`an interface of container ${record.name} was taken away, and is made anew`);
    this.#state.putContainer(await reconnect(openRuntime(this.#state.directory), record));
  }
}

interface Damage extends LinkDamage {
  /** What of the rules is missing, in words. */
  readonly rules: string | undefined;
}

/** What is missing now; undefined if nothing is. Changes nothing. */
async function findDamage(state: State, view: HelperView, asked: Disturbed): Promise<Damage | undefined> {
  const rules = asked.rules ? await missingRules(state, view) : undefined;
  const links = linkDamage(view);
  const whole = rules === undefined && links.bridges.length === 0 && links.containers.length === 0;
  return whole ? undefined : { ...links, rules };
}

/** The networks that something was mended on, and all containers. */
function touched({ containers, networks }: HelperView, damage: LinkDamage): Members {
  const ids = new Set([
    ...damage.bridges.map(({ id }) => id),
    ...damage.containers.flatMap(({ attachments }) => attachments.map(({ network }) => network)),
  ]);
  return { containers, networks: networks.filter(({ id }) => ids.has(id)) };
}

function isBusy(state: State): boolean {
  const lock = state.tryLock();
  lock?.release();
  return lock === undefined;
}

/** What of all our rules is not in the kernel; undefined if they are whole. */
async function missingRules(state: State, { networks }: HelperView): Promise<string | undefined> {
  if (networks.length === 0) return undefined;
  const [recorded] = await (await chooseFirewall()).missing();
  if (recorded !== undefined) return recorded;
  const walls = await missingIsolation(networks);
  if (walls !== undefined) return walls;
  if (!(await isGuarded(state))) return "the guard of forwarding";
  for (const network of networks) {
    try {
      await checkForwarding(network);
    } catch (error) {
      return messageOf(error);
    }
  }
  return undefined;
}
