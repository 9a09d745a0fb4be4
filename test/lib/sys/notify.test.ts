import { FFIType } from "bun:ffi";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLibc } from "../../../lib/sys/libc.ts";
import { closeFd, receive } from "../../../lib/sys/native.ts";
import { notifyManager } from "../../../lib/sys/notify.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const { socket, bind } = openLibc({
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
});

let folder: string;
let manager: number;

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/notify-`);
  manager = socket(AF_UNIX, SOCK_DGRAM, 0);
});
afterEach(() => {
  closeFd(manager);
  rmSync(folder, { recursive: true });
});

function listenAt(name: string): void {
  const address = Buffer.from(`\x01\0${name}`, "latin1");
  expect(bind(manager, address, address.length)).toBe(0);
}

function heard(): string {
  const buffer = Buffer.alloc(64);
  return buffer.toString("utf8", 0, receive(manager, buffer));
}

test("the manager hears the state at a path", () => {
  listenAt(`${folder}/socket\0`);
  notifyManager("READY=1", `${folder}/socket`);
  expect(heard()).toBe("READY=1");
});

test("the manager hears the state at an abstract name", () => {
  const name = `tsnet-notify-${process.pid}`;
  listenAt(`\0${name}`);
  notifyManager("READY=1", `@${name}`);
  expect(heard()).toBe("READY=1");
});

test("a manager that is gone is an error that says so, and none is fine", () => {
  expect(() => notifyManager("READY=1", `${folder}/nothing`)).toThrow(/connect.*ENOENT/);
  expect(notifyManager("READY=1", "")).toBeUndefined();
});
