/**
 * Changes that nobody may feel who has nothing to do with them: pings 100 times a second, and none lost.
 *
 * @module
 */
import { expect } from "vitest";
import type { Container } from "./container.ts";
import type { Losses } from "./pinger.ts";
import type { Family } from "./world.ts";

export type Ways = readonly (readonly [Container, Container, Family])[];

/** How long is pinged on once the change is done, in ms: what it breaks a little later is felt too. */
const AFTERWARDS_MS = 300;

/** Makes a change under pings on all these ways, of which none may be lost. */
export async function unfelt<T>(ways: Ways, change: () => Promise<T>): Promise<T> {
  const { result, losses } = await watched(ways, change);
  expect(losses.filter(({ lost }) => lost > 0)).toEqual([]);
  return result;
}

/** Makes a change under pings and tells what each way lost. */
export async function watched<T>(ways: Ways, change: () => Promise<T>): Promise<{ result: T; losses: Losses[] }> {
  const pingers = await Promise.all(ways.map(([from, to, family]) => from.ping(to, family)));
  try {
    const result = await change();
    await Bun.sleep(AFTERWARDS_MS);
    return { result, losses: await Promise.all(pingers.map((pinger) => pinger.stop())) };
  } finally {
    await Promise.all(pingers.map((pinger) => pinger.stop()));
  }
}

/** Ms until `from` reaches `to`. @throws Error if that takes longer than `patienceMs`. */
export async function reachedAfter(from: Container, to: Container, family: Family, patienceMs: number) {
  for (const start = performance.now(); ; ) {
    const reached = await from.pings(to.address(family), 0.2);
    const ms = Math.round(performance.now() - start);
    if (reached) return ms;
    if (ms > patienceMs) throw new Error(`${from} does not reach ${to} over IPv${family} after ${ms} ms`);
  }
}

/** The container of a host, where there is just one. */
export function only(containers: readonly Container[]): Container {
  const [one] = containers;
  if (one === undefined || containers.length !== 1) throw new Error(`one container, not ${containers.length}`);
  return one;
}
