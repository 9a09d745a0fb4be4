/**
 * What every plugin has in common.
 *
 * @module
 */
import { type DocumentedPlugin, testsOf } from "./types.ts";

const config = testsOf("lib/cni/config.test.ts");
const run = testsOf("lib/cni/run.test.ts");
const executable = testsOf("e2e/executable.test.ts");
const versions = testsOf("lib/cni/versions.test.ts");
const runtime = testsOf("lib/runtime/runtime.test.ts");

export const SHARED: DocumentedPlugin = {
  plugin: "Every plugin",
  keys: {
    cniVersion: [run("prints the result of ADD in the version of the config"), config("without a version is 0.1.0")],
    name: [config("has a name that can be a file's")],
    type: [executable("a hard link and a symbolic link named %s are that plugin")],
    "ipam.type": [testsOf("lib/cni/delegate.test.ts")("is the first of its name in CNI_PATH that is a file")],
    prevResult: [
      versions("is of the family of the config's version"),
      run("wants a prevResult for CHECK, and hands it on"),
    ],
    "capabilities, runtimeConfig": [
      runtime("containers row 31: a plugin gets the capabilities that it declares, and no other"),
    ],
    "IgnoreUnknown of CNI_ARGS": [
      testsOf("lib/cni/args.test.ts")(
        "ignores what it does not know only if IgnoreUnknown says so, anywhere in the list",
      ),
    ],
    "cni.dev/valid-attachments": [config("tells an empty list of valid attachments from none")],
    "keys in any case of letters": [config("has keys of any case, the last one counting")],
  },
  differences: [
    "GC removes what is ours and not in the list, which the reference plugins leave; STATUS says what an ADD would fail for, such as a pool that is used up.",
    "DEL removes all that ADD made without the namespace, prevResult or a config that ADD would still take, so that nothing is left of a container that ended on its own.",
    "Every value is looked at before anything is touched, and the error names the key. A namespace that is the plugin's own is refused before ADD, not after it.",
    "An ADD that fails takes back what it did.",
    "What is made on the host carries the network, the container and the interface in its name, alias or comment: two networks or two interfaces of a container never share a rule or a device.",
    "Errors have codes from 100 on where the reference says 999; texts that people search for are the reference's.",
    "Our IPAM plugins run in the process of the plugin that calls them, as long as they are what CNI_PATH finds.",
  ],
};
