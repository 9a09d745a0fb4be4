import { expect, test } from "vitest";
import { Housekeeper } from "../../proxy/housekeeping.ts";
import { fakeClock } from "./sync/clock.ts";

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

test("garbage is collected some time after work, and again only once the process has grown", async () => {
  const { clock, memory, keeper } = opened();
  keeper.worked();
  expect(memory.collections).toBe(0);
  await clock.pass(2000);
  expect(memory.collections).toBe(1);
  memory.resident = 52e6;
  keeper.worked();
  await clock.pass(2000);
  expect(memory.collections).toBe(1);
  memory.resident = 56e6;
  keeper.worked();
  await clock.pass(2000);
  expect(memory.collections).toBe(2);
});

test("a storm of work is one look a period, and none after the end", async () => {
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
  await clock.pass(10_000);
  expect(memory.collections).toBe(1);
});
