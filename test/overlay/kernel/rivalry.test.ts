import { expect, test } from "vitest";
import { Rivalry } from "../../../overlay/kernel/rivalry.ts";
import { memoryLog } from "./fixture.ts";

test("who takes back repairs again and again is spoken of, once; ten repairs in a day are not", () => {
  let now = 0;
  const log = memoryLog();
  const rivalry = new Rivalry(log, { now: () => now, wall: () => now, after: () => () => {} });
  const repair = (times: number, apart: number) => {
    for (let i = 0; i < times; i++) {
      rivalry.repaired("10.244.2.0/24 via 10.244.2.0 dev tsnet.1");
      now += apart;
    }
  };
  repair(20, 3_600_000);
  expect(log.lines).toEqual([]);
  repair(100, 50);
  expect(log.lines).toEqual([
    expect.stringContaining("such as flanneld 10.244.2.0/24 via 10.244.2.0 dev tsnet.1 10 10"),
  ]);
  repair(100, 7000);
  expect(log.lines).toHaveLength(1);
  now += 600_000;
  repair(20, 50);
  expect(log.lines).toHaveLength(2);
});
