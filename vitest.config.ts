import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const timeouts = { testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
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
