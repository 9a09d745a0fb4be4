/**
 * `dhcp daemon`, a file of its own in the executable: started by systemd or by hand, it serves until it is told to
 * end. Leases stay as they are then, in the kernel and on record, and the next daemon goes on with them.
 *
 * @module
 */
import { type Log, openLog } from "../../../lib/daemon/log.ts";
import { signalled } from "../../../lib/daemon/signals.ts";
import { isTsnetError, messageOf, TsnetError } from "../../../lib/errors.ts";
import { handOver, inheritedSockets } from "../../../lib/sys/activation.ts";
import { type ControlServer, serveControl } from "../../../lib/sys/control.ts";
import { type FileLock, lockFile, makeDirectory, overwriteFile, removeFile } from "../../../lib/sys/files.ts";
import { notifyManager } from "../../../lib/sys/notify.ts";
import { writeStderr, writeStdout } from "../../../lib/sys/stdio.ts";
import { whoListens } from "../client.ts";
import { stateFolder } from "../place.ts";
import { bootClock } from "./clock.ts";
import { Daemon } from "./daemon.ts";
import { afterWord, type DaemonSettings, helpText, parseFlags } from "./flags.ts";
import { Records } from "./records.ts";

/** Runs until it is told to end, and returns the exit code: 0, 1, or 2 for a command line that cannot be meant. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const settings = parseFlags(afterWord(argv));
    if (settings === undefined) {
      writeStdout(helpText());
      return 0;
    }
    await serve(settings, openLog({ format: "text", verbosity: 0 }));
    return 0;
  } catch (error) {
    writeStderr(`dhcp daemon: ${messageOf(error)}\n`);
    return isTsnetError(error, "usage") ? 2 : 1;
  }
}

async function serve(settings: DaemonSettings, log: Log): Promise<void> {
  const { pidFile, hostPrefix: prefix, socket, times, broadcast } = settings;
  const folder = `${prefix}${stateFolder(socket)}`;
  makeDirectory(folder, 0o700);
  const lock = lockAlone(folder, socket);
  if (pidFile !== undefined) overwriteFile(pidFile, String(process.pid));
  const ended = signalled();
  const records = new Records(folder, (message) => log.warn(message));
  const daemon = new Daemon({ prefix, times, broadcast, clock: bootClock, records, log });
  const door = await open(daemon, `${prefix}${socket}`, folder);
  notifyManager("READY=1");
  log.info("listening", { socket: `${prefix}${socket}` });
  log.info("ending: leases stay, for the next daemon to go on with", { signal: await ended });
  door.close();
  if (pidFile !== undefined) removeFile(pidFile);
  lock.release();
}

/** @throws TsnetError `busy` if a daemon of ours serves that socket. */
function lockAlone(folder: string, socket: string): FileLock {
  try {
    return lockFile(`${folder}/lock`, 0);
  } catch (error) {
    if (!isTsnetError(error, "busy")) throw error;
    throw new TsnetError(`another DHCP daemon of tsnet serves ${socket}: end it, or give another -socketpath`, {
      code: "busy",
      op: "listen",
      cause: error,
    });
  }
}

/** Listens at the service manager's socket, or makes one. */
async function open(daemon: Daemon, socket: string, folder: string): Promise<ControlServer> {
  const inherited = inheritedSockets();
  const [fd] = inherited;
  const answer = daemon.answer.bind(daemon);
  if (fd === undefined) {
    makeDirectory(socket.slice(0, socket.lastIndexOf("/")) || "/", 0o700);
    const other = await whoListens(socket);
    if (other !== undefined) {
      throw new TsnetError(`at ${socket} listens ${other}: end it, or give another -socketpath`, {
        code: "conflict",
        op: "listen",
      });
    }
    return serveControl(socket, answer);
  }
  if (inherited.length > 1) {
    throw new TsnetError(`Too many (${inherited.length}) FDs passed through socket activation`, {
      code: "usage",
      op: "listen",
    });
  }
  const own = `${folder}/http.sock`;
  const server = serveControl(own, answer);
  const handover = await handOver(fd, own);
  return {
    close() {
      handover.close();
      server.close();
    },
  };
}
