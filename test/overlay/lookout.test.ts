import { expect, test } from "vitest";
import type { Fabric, FabricReport, Repair } from "../../overlay/kernel/fabric.ts";
import { Lookout } from "../../overlay/lookout.ts";
import { fakeClock } from "../lib/daemon/clock.ts";

const ROUTE: Repair = { kind: "route", object: "10.244.2.0/24 via 10.244.2.0", found: "missing" };
const NOTHING: FabricReport = { repairs: [], failures: new Map() };

function watching() {
  const clock = fakeClock();
  const happened: string[] = [];
  const logged: string[] = [];
  const kernel = { repairs: [] as Repair[], underlayChanged: false, disturbed: false, fails: false };
  const poll: Fabric["poll"] = () => {
    if (kernel.fails) throw new Error("no netlink");
    const { repairs, underlayChanged } = kernel;
    kernel.repairs = [];
    kernel.underlayChanged = false;
    return { ...NOTHING, repairs, underlayChanged };
  };
  const lookout = new Lookout({
    fabric: { poll, compare: () => ({ ...NOTHING, repairs: [ROUTE] }) },
    protection: {
      disturbed: () => kernel.disturbed,
      repair: async () => {
        happened.push("look at rules");
        return kernel.disturbed;
      },
    },
    clock,
    log: { info() {}, debug() {}, warn() {}, error: (message) => void logged.push(message) },
    comparePeriod: 30_000,
    repaired: ({ repairs }) => void happened.push(`repaired ${repairs.length} at ${clock.now()}`),
    rulesRepaired: () => void happened.push("rules repaired"),
    underlayChanged: () => void happened.push(`underlay at ${clock.now()}`),
    compared: () => void happened.push(`compared at ${clock.now()}`),
  });
  lookout.start();
  return { clock, happened, kernel, logged, lookout };
}

test("what the kernel tells of is acted on at the next look", async () => {
  const { clock, happened, kernel } = watching();
  await clock.pass(1000);
  kernel.repairs = [ROUTE];
  await clock.pass(50);
  expect(happened).toEqual(["repaired 1 at 1050"]);
});

test("the underlay is looked at once a row of changes has ended", async () => {
  const { clock, happened, kernel } = watching();
  for (let at = 0; at < 300; at += 50) {
    kernel.underlayChanged = true;
    await clock.pass(50);
  }
  await clock.pass(1000);
  expect(happened).toEqual(["underlay at 400"]);
});

test("rules that somebody keeps changing are looked at all the same, well within a second", async () => {
  const { clock, happened, kernel } = watching();
  kernel.disturbed = true;
  await clock.pass(800);
  expect(happened).toEqual(["look at rules", "rules repaired"]);
});

test("everything is compared from time to time, whatever was told", async () => {
  const { clock, happened } = watching();
  await clock.pass(30_000);
  expect(happened).toEqual(["repaired 1 at 30000", "underlay at 30000", "compared at 30000", "look at rules"]);
});

test("a look that fails ends no looking, and is said once", async () => {
  const { clock, happened, kernel, logged } = watching();
  kernel.fails = true;
  await clock.pass(1000);
  expect(logged).toEqual(["cannot compare with the kernel"]);
  kernel.fails = false;
  kernel.repairs = [ROUTE];
  await clock.pass(50);
  expect(happened).toEqual(["repaired 1 at 1050"]);
});

test("after its end it does nothing", async () => {
  const { clock, happened, kernel, lookout } = watching();
  lookout.stop();
  kernel.repairs = [ROUTE];
  await clock.pass(60_000);
  expect(happened).toEqual([]);
});
