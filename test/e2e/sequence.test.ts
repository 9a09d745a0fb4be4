import { expect, it } from "vitest";
import { runSequences } from "./sequence/run.ts";

// `npm run soak -- 5000` runs more; SEED makes a run again.
const COUNT = Number(process.env.SEQUENCES ?? 200);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const SECONDS_EACH = 5;

it(
  `${COUNT} random sequences of ADD, DEL, CHECK, GC, kill and restart leave kernel and disk as the model says`,
  async () => {
    console.log(`SEED=${SEED} SEQUENCES=${COUNT}`);
    const run = runSequences({ count: COUNT, seed: SEED, hosts: 3, length: 9 });
    await expect(run, `SEED=${SEED}`).resolves.toBeUndefined();
  },
  COUNT * SECONDS_EACH * 1000,
);
