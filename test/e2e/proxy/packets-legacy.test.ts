import { packetCases } from "./cases.ts";

/** As an administrator chooses it; the host's /etc is its own. */
const LEGACY = `
  for name in iptables ip6tables; do
    for part in "" -save -restore; do
      if [ -L /etc/alternatives/$name$part ]; then ln -sf /usr/sbin/$name-legacy$part /etc/alternatives/$name$part; fi
    done
  done
  iptables --version | grep -q legacy`;

packetCases({
  mode: "iptables",
  prepare: async (world) => {
    await world.host.sh(LEGACY);
  },
});
