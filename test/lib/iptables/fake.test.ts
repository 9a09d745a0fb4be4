import { fakeIptables } from "../../../lib/iptables/iptables.fake.ts";
import { iptablesCases } from "./cases.ts";

iptablesCases("iptables in memory", async () => {
  let iptables = fakeIptables();
  return {
    iptables: {
      variant: "nft",
      run: (family, tx) => iptables.run(family, tx),
      save: (family, tables) => iptables.save(family, tables),
    },
    dump: async (family) => iptables.dump(family),
    clear: async () => {
      iptables = fakeIptables();
    },
    close: async () => {},
  };
});
