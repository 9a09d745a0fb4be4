// Stops with a clear error on a Node that is too old, before anything else fails in a way that nobody understands.
// Plain enough for any Node to read it; the version wanted is `engines.node` of package.json.
const wanted = require("../package.json").engines.node.replace(">=", "");

if (isOlder(process.versions.node, wanted)) {
  console.error(`tsnet needs Node ${wanted} or later to be set up, and this is ${process.version}.`);
  console.error("Debian 13 has it (apt-get install nodejs npm); elsewhere see https://nodejs.org/en/download");
  process.exit(1);
}

function isOlder(version, than) {
  const ours = version.split(".").map(Number);
  const theirs = than.split(".").map(Number);
  if (ours[0] !== theirs[0]) return ours[0] < theirs[0];
  return ours[1] < theirs[1];
}
