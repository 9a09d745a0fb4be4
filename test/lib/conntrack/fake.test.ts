import { fakeConntrack } from "../../../lib/conntrack/conntrack.fake.ts";
import { conntrackCases } from "./cases.ts";

conntrackCases("flows in memory", async () => {
  let conntrack = fakeConntrack();
  return {
    conntrack: {
      deleteFlows: (filter) => conntrack.deleteFlows(filter),
      deleteFlowsIf: (filter, doomed) => conntrack.deleteFlowsIf(filter, doomed),
      listFlows: (filter) => conntrack.listFlows(filter),
    },
    track: async (flows) => {
      conntrack = fakeConntrack(flows);
    },
    close: async () => {},
  };
});
