/**
 * The caller's side of CNI: runs the plugins of a network list, hands each one's result to the next, and keeps
 * what they came to. It does what libcni does for runtimes written in Go.
 *
 * As in libcni, an ADD that fails leaves its remains to the caller, who knows whether a DEL may follow: where the
 * interface belongs to somebody else it must not.
 *
 * Source: CNI specification 1.1.0, section 3 "Execution of Network Configurations".
 *
 * @module
 */
import { findPlugin } from "../cni/delegate.ts";
import { checkContainerId, checkInterfaceName } from "../cni/names.ts";
import type { Attachment, ValidAttachment } from "../cni/types.ts";
import { joinErrors, TsnetError } from "../errors.ts";
import type { FileLock } from "../sys/files.ts";
import { writeStderr } from "../sys/stdio.ts";
import { failureOf, inVersion, resultOf } from "./answer.ts";
import { CACHE_DIR, type CachedAttachment, listCached, readCached, removeCached, writeCached } from "./cache.ts";
import { type Executor, executeByProcess } from "./execute.ts";
import type { JsonObject, ListedPlugin, NetworkList } from "./list.ts";
import { LOCK_DIR, type LockKind, lockNetwork } from "./lock.ts";
import { configFor, environmentFor, type RuntimeCall, type Verb } from "./request.ts";
import { atLeast } from "./version.ts";

export interface RuntimeOptions {
  /** Where plugins are looked for, in this order; they get it as CNI_PATH. */
  readonly pluginDirs: readonly string[];
  /** {@link CACHE_DIR} unless given. */
  readonly cacheDir?: string;
  /** {@link LOCK_DIR} unless given. */
  readonly lockDir?: string;
  /** Milliseconds to wait for a garbage collection to end, or for ADDs and DELs before one; 60,000 unless given. */
  readonly lockTimeoutMs?: number;
  /** By process unless given. */
  readonly execute?: Executor;
}

/** Runs the verbs of network lists. */
export class Runtime {
  readonly #options: Required<RuntimeOptions>;

  constructor(options: RuntimeOptions) {
    this.#options = {
      cacheDir: CACHE_DIR,
      lockDir: LOCK_DIR,
      lockTimeoutMs: 60_000,
      execute: executeByProcess,
      ...options,
    };
  }

  /**
   * ADD: every plugin in order. Returns the last one's result as JSON, in the list's version, and caches it.
   *
   * @throws TsnetError `not-found` before anything is changed if a plugin is missing; `plugin` if one fails.
   */
  async addList(list: NetworkList, call: RuntimeCall): Promise<JsonObject> {
    checkCall(call);
    for (const plugin of list.plugins) this.#find(plugin);
    return this.#locked(list, "shared", async (lock) => {
      let result: JsonObject | undefined;
      for (const plugin of list.plugins) {
        const more = result === undefined ? {} : { prevResult: result };
        const stdin = configFor(list, plugin, more, call.capabilityArgs);
        result = resultOf(await this.#call("ADD", list, { plugin, stdin, call, lock }), list, plugin);
      }
      writeCached(this.#options.cacheDir, {
        ...attachmentOf(list, call),
        netns: call.netns,
        config: list.raw,
        args: call.args ?? [],
        capabilityArgs: call.capabilityArgs ?? {},
        result,
      });
      return result ?? {};
    });
  }

  /** DEL: every plugin, last one first, then the cache. Repeatable; an attachment never added is fine. */
  async delList(list: NetworkList, call: RuntimeCall): Promise<void> {
    checkCall(call);
    return this.#locked(list, "shared", (lock) => this.#del(list, call, lock));
  }

  /**
   * ADD once more of the plugins of one type, for capability arguments that are others now; DEL of those that are
   * given none any longer. What the other plugins of the list made stays as it is.
   *
   * @throws TsnetError `not-found` if ADD left no result; `plugin`.
   */
  async addAgain(list: NetworkList, call: RuntimeCall, type: string): Promise<void> {
    checkCall(call);
    const { cacheDir } = this.#options;
    await this.#locked(list, "shared", async (lock) => {
      const cached = readCached(cacheDir, attachmentOf(list, call));
      if (cached?.result === undefined) throw notAdded(list, call);
      const prevResult = inVersion(cached.result, list.cniVersion);
      const full = completed(call, cached);
      for (const plugin of list.plugins.filter((one) => one.type === type)) {
        const isGiven = plugin.capabilities.some((key) => Object.hasOwn(full.capabilityArgs ?? {}, key));
        const args = isGiven ? full.capabilityArgs : cached.capabilityArgs;
        const stdin = configFor(list, plugin, { prevResult }, args);
        await this.#call(isGiven ? "ADD" : "DEL", list, { plugin, stdin, call: full, lock });
      }
      writeCached(cacheDir, { ...cached, capabilityArgs: full.capabilityArgs ?? {} });
    });
  }

  /**
   * CHECK: every plugin in order, with the cached result. Nothing where the list disables it.
   *
   * @throws TsnetError `incompatible-version` below 0.4.0; `not-found` if ADD left no result; `plugin`.
   */
  async checkList(list: NetworkList, call: RuntimeCall): Promise<void> {
    if (!atLeast(list.cniVersion, "0.4.0")) {
      throw new TsnetError(`network "${list.name}" is of version ${list.cniVersion || "0.1.0"}: CHECK needs 0.4.0`, {
        code: "incompatible-version",
        op: "CHECK",
      });
    }
    if (list.disableCheck) return;
    checkCall(call);
    await this.#locked(list, "shared", async (lock) => {
      const cached = readCached(this.#options.cacheDir, attachmentOf(list, call));
      if (cached?.result === undefined) throw notAdded(list, call);
      const prevResult = inVersion(cached.result, list.cniVersion);
      const full = completed(call, cached);
      for (const plugin of list.plugins) {
        const stdin = configFor(list, plugin, { prevResult }, full.capabilityArgs);
        await this.#call("CHECK", list, { plugin, stdin, call: full, lock });
      }
    });
  }

  /**
   * GC: deletes the cached attachments of the network that are not in `valid`, then tells every plugin which ones
   * are. Goes on past failures. Nothing where the list disables it.
   *
   * @returns what was deleted from the cache.
   */
  async gcList(list: NetworkList, valid: readonly ValidAttachment[]): Promise<readonly Attachment[]> {
    if (list.disableGC) return [];
    return this.#locked(list, "exclusive", async (lock) => {
      const errors: unknown[] = [];
      const deleted: Attachment[] = [];
      for (const stale of this.attachments(list.name).filter((entry) => !isValid(entry, valid))) {
        try {
          await this.#del(list, stale, lock);
          deleted.push(stale);
        } catch (error) {
          errors.push(error);
        }
      }
      if (atLeast(list.cniVersion, "1.1.0")) errors.push(...(await this.#gcPlugins(list, valid, lock)));
      if (errors.length > 0) throw joinErrors("GC", errors);
      return deleted;
    });
  }

  /**
   * STATUS: asks every plugin, and throws what the first says that is not ready, or `not-found` for one that is
   * missing.
   *
   * @returns false where the list's version is below 1.1.0, in which there is no such question.
   */
  async statusList(list: NetworkList): Promise<boolean> {
    for (const plugin of list.plugins) this.#find(plugin);
    if (!atLeast(list.cniVersion, "1.1.0")) return false;
    for (const plugin of list.plugins) await this.#call("STATUS", list, { plugin, stdin: configFor(list, plugin, {}) });
    return true;
  }

  /** The cached attachments, those of one network if it is named. */
  attachments(network?: string): readonly CachedAttachment[] {
    return listCached(this.#options.cacheDir).filter((entry) => network === undefined || entry.network === network);
  }

  async #del(list: NetworkList, call: RuntimeCall, lock: FileLock): Promise<void> {
    const { cacheDir } = this.#options;
    const cached = readCached(cacheDir, attachmentOf(list, call));
    const prevResult = atLeast(list.cniVersion, "0.4.0") ? readableResult(cached, list.cniVersion) : undefined;
    const full = completed(call, cached);
    for (const plugin of list.plugins.toReversed()) {
      const stdin = configFor(list, plugin, prevResult === undefined ? {} : { prevResult }, full.capabilityArgs);
      await this.#call("DEL", list, { plugin, stdin, call: full, lock });
    }
    removeCached(cacheDir, attachmentOf(list, call));
  }

  async #gcPlugins(list: NetworkList, valid: readonly ValidAttachment[], lock: FileLock): Promise<readonly unknown[]> {
    const errors: unknown[] = [];
    const attachments = valid.map(({ containerID, ifname }) => ({ containerID, ifname }));
    // The second key is what the specification called it by mistake: containernetworking/cni#1101.
    const more = { "cni.dev/valid-attachments": attachments, "cni.dev/attachments": attachments };
    for (const plugin of list.plugins) {
      try {
        await this.#call("GC", list, { plugin, stdin: configFor(list, plugin, more), lock });
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }

  async #call(verb: Verb, list: NetworkList, { plugin, stdin, call, lock }: PluginRun): Promise<string> {
    const { pluginDirs, execute } = this.#options;
    const env = environmentFor(verb, pluginDirs, call);
    const inheritFd = lock === undefined ? {} : { inheritFd: lock.fd };
    const done = await execute({ path: this.#find(plugin), env, stdin, ...inheritFd });
    if (done.exitCode !== 0) throw failureOf(verb, list, plugin, done);
    if (done.stderr !== "") writeStderr(done.stderr);
    return done.stdout;
  }

  async #locked<T>(list: NetworkList, kind: LockKind, work: (lock: FileLock) => Promise<T>): Promise<T> {
    const { lockDir, lockTimeoutMs: timeoutMs } = this.#options;
    const lock = await lockNetwork(lockDir, list.name, { kind, timeoutMs });
    try {
      return await work(lock);
    } finally {
      lock.release();
    }
  }

  #find(plugin: ListedPlugin): string {
    return findPlugin(plugin.type, this.#options.pluginDirs);
  }
}

/** One plugin of a chain, about to be called. */
interface PluginRun {
  readonly plugin: ListedPlugin;
  readonly stdin: string;
  /** Absent for GC and STATUS, which are about no container. */
  readonly call?: RuntimeCall;
  readonly lock?: FileLock;
}

function checkCall({ containerId, ifname }: RuntimeCall): void {
  checkContainerId(containerId);
  checkInterfaceName(ifname);
}

function attachmentOf({ name }: NetworkList, { containerId, ifname }: RuntimeCall): Attachment {
  return { network: name, containerId, ifname };
}

/** The call with what its ADD was given, where the caller does not say. */
function completed(call: RuntimeCall, cached: CachedAttachment | undefined): RuntimeCall {
  return {
    ...call,
    args: call.args ?? cached?.args ?? [],
    capabilityArgs: call.capabilityArgs ?? cached?.capabilityArgs ?? {},
  };
}

/** The cached result for DEL: one that cannot be read is no reason to leave everything behind. */
function readableResult(cached: CachedAttachment | undefined, version: string): JsonObject | undefined {
  try {
    return cached?.result === undefined ? undefined : inVersion(cached.result, version);
  } catch {
    return undefined;
  }
}

function isValid({ containerId, ifname }: Attachment, valid: readonly ValidAttachment[]): boolean {
  return valid.some((entry) => entry.containerID === containerId && entry.ifname === ifname);
}

function notAdded(list: NetworkList, { containerId, ifname }: RuntimeCall): TsnetError {
  return new TsnetError(`no cached result of ${ifname} of ${containerId} on network "${list.name}": ADD it first`, {
    code: "not-found",
    op: "CHECK",
  });
}
