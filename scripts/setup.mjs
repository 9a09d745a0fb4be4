/**
 * Makes this machine ready, before anything is built or run:
 *
 *     npm run setup                  for tsnet itself and the demo
 *     npm run setup -- --tests       and for the tests
 *     npm run setup -- --cluster     and for a real Kubernetes control plane
 *     node scripts/setup.mjs --node-only     no programs, only Node and Bun: all that a build takes
 *
 * This file is read by whatever Node there is, so it says what that Node is too old for and loads the rest after.
 *
 * @module
 */
import "./node-version.cjs";

import("./setup/main.mjs").then(({ setUp }) => setUp(process.argv.slice(2)));
