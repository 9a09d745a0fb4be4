/**
 * Random sequences of plugin calls against the model, as many as one likes:
 *
 *     npm run build && npm run soak -- 5000
 *     SEED=1234 npm run soak -- 5000            a run once more, step by step
 *
 * @module
 */
import { execa } from "execa";

const count = Number(process.argv[2] ?? 1000);
if (!Number.isSafeInteger(count) || count < 1) {
  console.error(`soak: how many sequences? ${process.argv[2]} is no number`);
  process.exit(2);
}
const args = ["--bun", "vitest", "run", "--pool=threads", "--project", "e2e", "test/e2e/sequence.test.ts"];
const { exitCode = 1 } = await execa("bun", args, {
  stdio: "inherit",
  env: { SEQUENCES: String(count) },
  preferLocal: true,
  reject: false,
});
process.exit(exitCode);
