/**
 * firewalld's zones, over D-Bus: a source address that belongs to a zone is treated as that zone says, and `trusted`
 * accepts all. Methods and errors are those of org.fedoraproject.FirewallD1.zone, firewalld.dbus(5).
 *
 * What is set here is firewalld's runtime configuration: it ends with firewalld, with the boot, and with each
 * `firewall-cmd --reload`. The permanent one would outlive the containers.
 *
 * {@link Firewalld} is what the rest of the house sees; `firewalld.fake.ts` is the double that passes the same cases.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../errors.ts";
import { exists } from "../sys/files.ts";
import { type Bus, type BusCall, BusRefusal, openSystemBus } from "./bus.ts";

export interface Firewalld {
  /** Whether it runs. `likely` asks only where it is installed, which costs nothing on all other hosts. */
  isRunning(how?: "likely"): Promise<boolean>;

  /**
   * Puts sources (`10.1.0.5/32`) into a zone; fine where they are in it. All or none.
   *
   * @throws TsnetError `conflict` if one is in another zone; `invalid` if there is no such zone; `not-found` if
   *   firewalld does not run.
   */
  addSources(zone: string, sources: readonly string[]): Promise<void>;

  /** Takes sources out of a zone; fine where they are not in it, or firewalld does not run. */
  removeSources(zone: string, sources: readonly string[]): Promise<void>;

  /** Which of them are not in the zone. @throws TsnetError `not-found` if firewalld does not run. */
  missingSources(zone: string, sources: readonly string[]): Promise<readonly string[]>;
}

/** The firewalld of the bus that this process reaches. */
export function realFirewalld(): Firewalld {
  return {
    isRunning: async (how) => (how !== "likely" || isInstalled()) && (await isRunning()),
    async addSources(zone, sources) {
      try {
        await onBus((bus) => add(bus, zone, sources));
      } catch (error) {
        throw isTsnetError(error, "io") ? notRunning(error) : error;
      }
    },
    async removeSources(zone, sources) {
      if (!(await isRunning())) return;
      await onBus((bus) => Promise.all(sources.map((source) => remove(bus, zone, source))));
    },
    missingSources: (zone, sources) =>
      onBus(async (bus) => {
        const there = await Promise.all(sources.map((source) => isIn(bus, zone, source)));
        return sources.filter((_, index) => there[index] === false);
      }),
  };
}

/** Without this policy no bus lets it have its name. */
function isInstalled(): boolean {
  return POLICIES.some((directory) => exists(`${directory}/FirewallD.conf`));
}

const POLICIES = ["/usr/share", "/etc", "/usr/local/share", "/run/current-system/sw/share"].map(
  (root) => `${root}/dbus-1/system.d`,
);

async function isRunning(): Promise<boolean> {
  if (process.env.DBUS_SYSTEM_BUS_ADDRESS === undefined && !exists(SOCKET)) return false;
  try {
    return (await onBus((bus) => bus.call({ ...DBUS, member: "NameHasOwner", texts: [NAME] }))) === true;
  } catch (error) {
    // A bus that is going, or that lets nobody in, has no firewalld for us.
    if (isTsnetError(error, "io")) return false;
    throw error;
  }
}

const SOCKET = "/var/run/dbus/system_bus_socket";
const NAME = "org.fedoraproject.FirewallD1";
const ZONE = { destination: NAME, path: "/org/fedoraproject/FirewallD1", interface: `${NAME}.zone` } as const;
const DBUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const satisfies Partial<BusCall>;

async function onBus<T>(work: (bus: Bus) => Promise<T>): Promise<T> {
  const bus = await openSystemBus();
  try {
    return await work(bus);
  } finally {
    bus.close();
  }
}

async function add(bus: Bus, zone: string, sources: readonly string[]): Promise<void> {
  const added: string[] = [];
  try {
    for (const source of sources) if (await addOne(bus, zone, source)) added.push(source);
  } catch (error) {
    await Promise.allSettled(added.map((source) => remove(bus, zone, source)));
    throw error;
  }
}

/** False if it is in the zone already. */
async function addOne(bus: Bus, zone: string, source: string): Promise<boolean> {
  try {
    await call(bus, "addSource", zone, source);
    return true;
  } catch (error) {
    if (!(error instanceof BusRefusal)) throw error;
    const [kind] = error.message.split(":");
    if (kind === "ZONE_ALREADY_SET") return false;
    if (kind === "ZONE_CONFLICT") throw elsewhere(zone, source, await call(bus, "getZoneOfSource", source));
    throw refused(zone, source, error);
  }
}

/** A zone that is gone holds nothing. */
async function isIn(bus: Bus, zone: string, source: string): Promise<boolean> {
  try {
    return (await call(bus, "querySource", zone, source)) === true;
  } catch (error) {
    if (error instanceof BusRefusal && /^INVALID_ZONE\b/.test(error.message)) return false;
    throw error;
  }
}

/** UNKNOWN_SOURCE and ZONE_CONFLICT say that it is not there; a zone that is gone holds nothing either. */
async function remove(bus: Bus, zone: string, source: string): Promise<void> {
  try {
    await call(bus, "removeSource", zone, source);
  } catch (error) {
    if (!(error instanceof BusRefusal)) throw error;
    if (!/^(UNKNOWN_SOURCE|ZONE_CONFLICT|INVALID_ZONE)\b/.test(error.message)) throw refused(zone, source, error);
  }
}

async function call(bus: Bus, member: string, ...texts: readonly string[]): Promise<unknown> {
  try {
    return await bus.call({ ...ZONE, member, texts });
  } catch (error) {
    // The bus's own answer for a name that nobody has.
    if (!(error instanceof BusRefusal) || !/was not provided by any \.service files|has no owner/.test(error.message)) {
      throw error;
    }
    throw notRunning(error);
  }
}

/** @throws TsnetError `not-found` if it does not run. */
export async function ensureRunning(firewalld: Firewalld): Promise<void> {
  if (!(await firewalld.isRunning())) throw notRunning();
}

function notRunning(cause?: unknown): TsnetError {
  return new TsnetError("firewalld does not run: start it, or choose another back end", {
    code: "not-found",
    op: "firewalld",
    cause,
  });
}

function elsewhere(zone: string, source: string, other: unknown): TsnetError {
  return new TsnetError(
    `source ${source} is in firewalld's zone ${String(other)}, wanted in ${zone}: firewall-cmd --zone=${String(other)} --remove-source=${source}, or set firewalldZone`,
    { code: "conflict", op: "firewalld" },
  );
}

function refused(zone: string, source: string, cause: BusRefusal): TsnetError {
  const isConfig = /^INVALID_ZONE\b/.test(cause.message);
  return new TsnetError(`firewalld does not take source ${source} into zone ${zone}: ${cause.message}`, {
    code: isConfig ? "invalid" : "program",
    op: "firewalld",
    cause,
  });
}
