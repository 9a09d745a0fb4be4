import { expect, test } from "vitest";
import { Housekeeper } from "../../proxy/housekeeping.ts";
import { fakeClock } from "../lib/daemon/clock.ts";

function opened() {
  const clock = fakeClock();
  const memory = { resident: 60e6, used: 50e6, collections: 0 };
  const collect = () => {
    memory.collections++;
    memory.resident = memory.used;
  };
  const keeper = new Housekeeper({ clock, resident: () => memory.resident, collect });
  return { clock, memory, keeper };
}

test("garbage is collected some time after work, less often where there is little, and not without work", async () => {
  const { clock, memory, keeper } = opened();
  keeper.worked();
  expect(memory.collections).toBe(0);
  await clock.pass(2000);
  expect(memory.collections).toBe(1);
  await clock.pass(600_000);
  expect(memory.collections).toBe(1);
  // What comes every second leaves nothing to speak of.
  for (let second = 0; second < 600; second++) {
    keeper.worked();
    await clock.pass(1000);
  }
  expect(memory.collections).toBeLessThan(20);
  memory.resident = 90e6;
  keeper.worked();
  await clock.pass(60_000);
  memory.resident = 90e6;
  keeper.worked();
  await clock.pass(2000);
  expect(memory.resident).toBe(memory.used);
});

test("a storm of work is one collection a period, and none after the end", async () => {
  const { clock, memory, keeper } = opened();
  for (let i = 0; i < 100; i++) {
    keeper.worked();
    await clock.pass(10);
  }
  await clock.pass(2000);
  expect(memory.collections).toBe(1);
  memory.resident = 90e6;
  keeper.worked();
  keeper.stop();
  await clock.pass(60_000);
  expect(memory.collections).toBe(1);
});
