/**
 * When IPv4 routes come into the kernel of a namespace: a thread that waits for rtnetlink's own events. Times are of
 * the machine's monotonic clock, in ms.
 *
 * @module
 */
import { bindNetlink, NETLINK_ROUTE, openNetlink, receive, setSocketOption } from "../../lib/sys/native.ts";
import { inside, openNetns } from "../../lib/sys/netns.ts";
import { now } from "../proxy/watcher.ts";

// linux/rtnetlink.h, asm-generic/socket.h
const RTMGRP_IPV4_ROUTE = 0x40;
const RTM_NEWROUTE = 24;
const RTA_DST = 1;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const HEADER = 16;
const RTMSG = 12;

export interface RouteWatcher extends Disposable {
  /** Resolves to the time at which a route to `address` is seen; to undefined if it is not within `timeoutMs`. */
  seen(address: string, timeoutMs: number): Promise<number | undefined>;
  /** The time at which `size` different destinations of /24 have been seen since the start. */
  count(size: number, timeoutMs: number): Promise<number | undefined>;
}

/** Watches the namespace behind `path`. */
export async function watchRoutes(path: string): Promise<RouteWatcher> {
  const worker = new Worker(import.meta.url, { env: { ...process.env, WATCHED_ROUTES: path } });
  const all = new Map<string, number>();
  let look = () => {};
  const ready = Promise.withResolvers<void>();
  worker.onmessage = ({ data }: MessageEvent<readonly (readonly [string, number])[]>) => {
    ready.resolve();
    for (const [address, at] of data) all.set(address, at);
    look();
  };
  worker.onerror = (event) => ready.reject(new Error(event.message));
  await ready.promise;
  const until = async (find: () => number | undefined, timeoutMs: number) => {
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    look = () => {
      const found = find();
      if (found !== undefined) resolve(found);
    };
    return await promise.finally(() => clearTimeout(timer));
  };
  return {
    async seen(address, timeoutMs) {
      all.delete(address);
      return await until(() => all.get(address), timeoutMs);
    },
    count: (size, timeoutMs) => until(() => (all.size < size ? undefined : Math.max(...all.values())), timeoutMs),
    [Symbol.dispose]: () => worker.terminate(),
  };
}

function watch(path: string): never {
  const netns = openNetns(path);
  const fd = inside(netns, () => openNetlink(NETLINK_ROUTE));
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  bindNetlink(fd, RTMGRP_IPV4_ROUTE);
  const buffer = Buffer.allocUnsafe(1 << 20);
  postMessage([]);
  for (;;) {
    const length = receive(fd, buffer);
    const at = now();
    const routes = [...routesIn(buffer.subarray(0, length))].map((address) => [address, at] as const);
    if (routes.length > 0) postMessage(routes);
  }
}

/** The destinations of new routes of /24. */
function* routesIn(data: Uint8Array): Generator<string> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at + HEADER <= data.length; at += (view.getUint32(at, true) + 3) & ~3) {
    const end = at + view.getUint32(at, true);
    if (view.getUint16(at + 4, true) !== RTM_NEWROUTE || data[at + HEADER + 1] !== 24) continue;
    for (let attribute = at + HEADER + RTMSG; attribute + 4 <= end; ) {
      const length = view.getUint16(attribute, true);
      if (view.getUint16(attribute + 2, true) === RTA_DST) yield data.subarray(attribute + 4, attribute + 8).join(".");
      attribute += (length + 3) & ~3;
    }
  }
}

const { WATCHED_ROUTES } = process.env;
if (!Bun.isMainThread && WATCHED_ROUTES !== undefined) watch(WATCHED_ROUTES);
