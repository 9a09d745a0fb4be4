/**
 * When an address comes into the packet filter of a namespace: a thread that waits for nftables' own events, in
 * which iptables-nft's changes are too. Times are of the machine's monotonic clock, in ms, the same in all threads.
 *
 * @module
 */
import { dlopen, FFIType } from "bun:ffi";
import { bindNetlink, NETLINK_NETFILTER, openNetlink, receive, setSocketOption } from "../../lib/sys/native.ts";
import { inside, openNetns } from "../../lib/sys/netns.ts";

// linux/netfilter/nfnetlink.h, asm-generic/socket.h
const NFNLGRP_NFTABLES = 7;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;

// time.h. The runtime's own clocks begin anew in each thread.
const CLOCK_MONOTONIC = 1;
const { clock_gettime } = dlopen("libc.so.6", {
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
}).symbols;
const timespec = new BigInt64Array(2);

/** Milliseconds of the machine's monotonic clock. */
export function now(): number {
  clock_gettime(CLOCK_MONOTONIC, timespec);
  const [seconds = 0n, nanoseconds = 0n] = timespec;
  return Number(seconds) * 1e3 + Number(nanoseconds) / 1e6;
}

export interface Watcher {
  /** Resolves to the time at which `address` (IPv4) is seen; to undefined if it is not within `timeoutMs`. */
  seen(address: string, timeoutMs: number): Promise<number | undefined>;
  close(): void;
}

/** Watches the namespace behind `path`. */
export async function watchFilter(path: string): Promise<Watcher> {
  const worker = new Worker(import.meta.url, { env: { ...process.env, WATCHED_NETNS: path } });
  const waiting = new Map<string, (at: number) => void>();
  const ready = Promise.withResolvers<void>();
  worker.onmessage = ({ data }: MessageEvent<{ address?: string; at?: number }>) => {
    if (data.address === undefined) ready.resolve();
    else waiting.get(data.address)?.(data.at ?? 0);
  };
  worker.onerror = (event) => ready.reject(new Error(event.message));
  await ready.promise;
  return {
    async seen(address, timeoutMs) {
      const { promise, resolve } = Promise.withResolvers<number | undefined>();
      waiting.set(address, resolve);
      const timer = setTimeout(() => resolve(undefined), timeoutMs);
      return await promise.finally(() => {
        clearTimeout(timer);
        waiting.delete(address);
      });
    },
    close: () => worker.terminate(),
  };
}

// Of new addresses the bench hands out only those of this block: 10.200.0.0/13.
export const FRESH = { first: 10, second: 200 } as const;

function watch(path: string): never {
  const netns = openNetns(path);
  const fd = inside(netns, () => openNetlink(NETLINK_NETFILTER));
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  bindNetlink(fd, 1 << (NFNLGRP_NFTABLES - 1));
  const buffer = Buffer.allocUnsafe(1 << 20);
  postMessage({});
  for (;;) {
    const length = receive(fd, buffer);
    const at = now();
    for (let i = buffer.indexOf(FRESH.first, 20); i >= 0 && i + 4 <= length; i = buffer.indexOf(FRESH.first, i + 1)) {
      if ((buffer[i + 1] ?? 0) >> 3 === FRESH.second >> 3)
        postMessage({ address: buffer.subarray(i, i + 4).join("."), at });
    }
  }
}

if (!Bun.isMainThread && process.env.WATCHED_NETNS !== undefined) watch(process.env.WATCHED_NETNS);
