import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const timeouts = { testTimeout: 60_000, hookTimeout: 60_000 };

// Each of these takes minutes: begun last, one of them would run on alone.
const LONG = [
  "e2e/kill",
  "e2e/up-kill",
  "e2e/faults",
  "e2e/sequence",
  "e2e/proxy/packets-",
  "e2e/up.",
  "e2e/portmap-kill",
];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((name) => moduleId.includes(`/test/${name}`));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
    // Most tests wait for the kernel or for each other's programs far longer than they compute.
    maxWorkers: Math.max(4, availableParallelism()),
    projects: [
      {
        test: {
          name: "unit",
          include: [
            "test/lib/**/*.test.ts",
            "test/plugins/**/*.test.ts",
            "test/cli/**/*.test.ts",
            "test/standalone/**/*.test.ts",
            "test/proxy/**/*.test.ts",
            "test/overlay/**/*.test.ts",
          ],
          ...timeouts,
        },
      },
      { test: { name: "e2e", include: ["test/e2e/**/*.test.ts"], ...timeouts } },
      // Needs the real Kubernetes, which Go builds: npm run test:cluster. Each file has a control plane of its own.
      {
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
