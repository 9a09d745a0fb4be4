/** The log that the kernel moves a pipe's content to, and the look at many pipes at once. */
import { closeSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LOG_ROOM, openLogWriter, readLog } from "../../../lib/sys/cappedlog.ts";
import { Epoll } from "../../../lib/sys/epoll.ts";
import { openForReader, openForWriters, unreadBytes } from "../../../lib/sys/fifo.ts";
import { makeFifo } from "../../../lib/sys/namespaces.ts";

let folder: string;
let fifo: string;
let log: string;
let writers: number;

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/tsnet-log-`);
  [fifo, log] = [`${folder}/output`, `${folder}/log`];
  makeFifo(fifo);
  writers = openForWriters(fifo);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Opens the log, which is there. */
function open() {
  const writer = openLogWriter(log, fifo);
  if (writer === undefined) throw new Error("no pipe");
  return writer;
}

describe("a log", () => {
  test("has what was written, tells when nothing stands in the pipe, and when nobody will write any more", () => {
    const writer = open();
    expect(writer.move()).toBe("none");
    writeSync(writers, "one\n");
    expect(unreadBytes(fifo)).toBe(4);
    expect([writer.move(), writer.move()]).toEqual(["some", "none"]);
    expect(unreadBytes(fifo)).toBe(0);
    writeSync(writers, "two\n");
    closeSync(writers);
    expect([writer.move(), writer.move()]).toEqual(["some", "ended"]);
    writer.close();
    expect(readLog(log).toString()).toBe("one\ntwo\n");
    expect(statSync(log).mode & 0o777).toBe(0o600);
  });

  test("goes on where the one before ended, with what stood in the pipe meanwhile", () => {
    for (const text of ["one\n", "two\n", "three\n"]) {
      writeSync(writers, text);
      const writer = open();
      writer.drain();
      writeSync(writers, `${text.trim()} late\n`);
      writer.close();
    }
    const last = open();
    last.drain();
    last.close();
    closeSync(writers);
    expect(readLog(log).toString()).toBe("one\none late\ntwo\ntwo late\nthree\nthree late\n");
  });

  test("never takes more room than it may, and has the last half of it", () => {
    const writer = open();
    const chunk = Buffer.from("0123456789abcdef".repeat(4096));
    let written = 0;
    for (; written < 2.3 * LOG_ROOM; written += chunk.length) {
      writeSync(writers, chunk);
      writer.drain();
      const sizes = [log, `${log}.1`].map((path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0);
      expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(LOG_ROOM);
    }
    writer.close();
    closeSync(writers);
    const kept = readLog(log);
    expect(kept.length).toBeGreaterThan(LOG_ROOM / 2);
    const start = (written - kept.length) % 16;
    expect(kept.subarray(0, 16).toString()).toBe("0123456789abcdef0123456789abcdef".slice(start, start + 16));
  });

  test("that cannot be written loses what comes, and keeps nobody waiting", () => {
    writeFileSync(log, Buffer.alloc(LOG_ROOM / 2));
    mkdirSync(`${log}.1/in-the-way`, { recursive: true });
    const writer = open();
    for (let at = 0; at < 10; at++) {
      writeSync(writers, Buffer.alloc(60_000));
      expect(writer.drain()).toBe("none");
    }
    closeSync(writers);
    expect(writer.drain()).toBe("ended");
    writer.close();
    expect(statSync(log).size).toBe(LOG_ROOM / 2);
  });

  test("is none where there is no pipe", () => {
    closeSync(writers);
    expect(openLogWriter(log, `${folder}/nothing`)).toBeUndefined();
    expect(unreadBytes(`${folder}/nothing`)).toBe(0);
  });
});

test("of many pipes those are told of that have something, or whose writers have gone", () => {
  const epoll = new Epoll();
  const pipes = Array.from({ length: 100 }, (_, at) => {
    const path = `${folder}/pipe${at}`;
    makeFifo(path);
    const to = openForWriters(path);
    const from = openForReader(path) ?? -1;
    epoll.add(from);
    return { from, to };
  });
  expect(epoll.ready()).toEqual([]);
  const [first, second, third] = [pipes[3], pipes[70], pipes[99]];
  writeSync(first?.to ?? -1, "x");
  closeSync(second?.to ?? -1);
  writeSync(third?.to ?? -1, "x");
  const numerically = (fds: readonly number[]) => fds.toSorted((a, b) => a - b);
  expect(numerically(epoll.ready())).toEqual(numerically([first, second, third].map((pipe) => pipe?.from ?? -1)));
  epoll.remove(third?.from ?? -1);
  expect(epoll.ready()).toHaveLength(2);
  for (const pipe of pipes) if (pipe !== second) writeSync(pipe.to, "x");
  // At most 64 at a time; all have their turn.
  const told = new Set([...epoll.ready(), ...epoll.ready()]);
  expect(told.size).toBe(99);
  epoll.close();
  for (const { from, to } of pipes) {
    closeSync(from);
    if (to !== second?.to) closeSync(to);
  }
  closeSync(writers);
});
