/**
 * A test host with a LAN behind its bridge `br0`: a DHCP server on it, and our daemon on the host.
 *
 * @module
 */
import { type CniOutput, Host, PLUGINS } from "./host.ts";
import { eventually } from "./standalone.ts";

/** The socket that plugin and daemon take unless told otherwise. */
export const SOCKET = "/run/cni/tsnet-dhcp.sock";
/** The server's address. */
export const SERVER = "10.50.0.1";

const LAN_SETUP = `
  ip link add br0 address 02:00:00:00:00:fe type bridge; ip link set br0 up
  ip link add lan0 type veth peer name lan1 netns lan; ip link set lan0 master br0 up
  ip -n lan link set lan1 address 02:00:00:00:00:01 up; ip -n lan addr add ${SERVER}/24 dev lan1
`;

/** For a daemon that finds no server. */
export const IMPATIENT = ["-timeout", "1s", "-resendmax", "1s", "-resendtimeout", "2s"];

/** For what takes a few seconds on a machine that is not busy. */
const PATIENCE_MS = 30_000;

const IN_LAN = ["ip", "netns", "exec", "lan"];

/** A process on the host that writes to a file. */
export interface Started {
  readonly log: () => Promise<string>;
  /** Waits until its log says so. */
  saying(what: string | RegExp): Promise<void>;
  /** Ends it by a signal, and waits until it is gone. */
  end(signal?: string): Promise<void>;
}

export class DhcpWorld {
  readonly host: Host;
  #started = 0;

  private constructor(host: Host) {
    this.host = host;
  }

  /** Gives a test a world of its own, so that those that wait for time to pass can do so side by side. */
  static in(work: (world: DhcpWorld) => Promise<void>): () => Promise<void> {
    return async () => {
      const world = await DhcpWorld.#create();
      try {
        await work(world);
      } finally {
        await world.host.destroy();
      }
    };
  }

  static async #create(): Promise<DhcpWorld> {
    const host = await Host.create();
    await host.addNetns("lan");
    await host.sh(LAN_SETUP);
    return new DhcpWorld(host);
  }

  /** dnsmasq on the LAN: leases of two minutes, its shortest, but with T1 and T2 as its options say. */
  async dnsmasq(...more: readonly string[]): Promise<Started> {
    const base = ["-k", "-C", "/dev/null", "--no-ping", "--port=0", "--log-dhcp", "--log-facility=-", "--user=root"];
    const range = ["--dhcp-range=10.50.0.100,10.50.0.200,2m", "--dhcp-leasefile=/run/dnsmasq.leases"];
    const server = await this.#start([...IN_LAN, "dnsmasq", ...base, ...range, ...more]);
    await server.saying("DHCP, IP range");
    return server;
  }

  /** busybox's udhcpd on the LAN, whose leases may last for seconds, to be renewed from `renewal` on. */
  async udhcpd({ seconds = 60, renewal = 1 } = {}): Promise<Started> {
    const conf = `start 10.50.0.20\nend 10.50.0.30\ninterface lan1\nlease_file /run/udhcpd.leases\npidfile /run/udhcpd.pid
opt subnet 255.255.255.0\nopt router ${SERVER}\nopt lease ${seconds}\nopt 0x3a ${hex(renewal)}\n`;
    await this.host.ok(["sh", "-c", "cat > /run/udhcpd.conf; : > /run/udhcpd.leases"], { stdin: conf });
    const server = await this.#start([...IN_LAN, "busybox", "udhcpd", "-f", "-a", "1", "/run/udhcpd.conf"]);
    await server.saying("started");
    return server;
  }

  /** Our daemon. */
  async daemon(...flags: readonly string[]): Promise<Started> {
    const daemon = await this.#start([`${PLUGINS}/dhcp`, "daemon", ...flags]);
    await daemon.saying("listening");
    return daemon;
  }

  /** Starts anything. */
  start(argv: readonly string[]): Promise<Started> {
    return this.#start(argv);
  }

  /** A call of bridge for a container that has its namespace; `c1` has `/run/netns/c1`. */
  call(verb: string, id: string, conf: object = lanConf(), more: { readonly args?: string } = {}): Promise<CniOutput> {
    return this.host.cni(verb, "bridge", conf, { id, netns: `/run/netns/${id}`, ...more });
  }

  /** Attaches a new container. @throws Error if that fails. */
  async attach(id: string, conf: object = lanConf(), more: { readonly args?: string } = {}): Promise<Result> {
    await this.host.addNetns(id);
    const { exitCode, stdout, stderr, json } = await this.call("ADD", id, conf, more);
    if (exitCode !== 0) throw new Error(`ADD: ${stdout}${stderr}`);
    return json as Result;
  }

  /** What the daemon holds, by container: the address, or why there is none. */
  async leases(): Promise<Readonly<Record<string, string>>> {
    const said = await this.host.ok(["curl", "-s", "--unix-socket", SOCKET, "http://local/leases"]);
    const { leases } = JSON.parse(said) as { leases: readonly Listed[] };
    return Object.fromEntries(leases.map((one) => [one.attachment.containerId, one.address ?? one.error ?? ""]));
  }

  /** Files of leases. */
  async records(): Promise<number> {
    return Number(await this.host.ok(["sh", "-c", "find /run/tsnet/dhcp -name '*.json' | wc -l"]));
  }

  async #start(argv: readonly string[]): Promise<Started> {
    const { host } = this;
    const base = `/run/started-${++this.#started}`;
    const spawned = host.spawn(["sh", "-c", `echo $$ > ${base}.pid; exec "$@" > ${base}.log 2>&1`, "sh", ...argv]);
    const log = async () => (await host.run(["cat", `${base}.log`])).stdout;
    return {
      log,
      async saying(what) {
        try {
          await eventually(async () => isIn(what, await log()), `${argv.at(-1)} says ${what}`, PATIENCE_MS);
        } catch (error) {
          throw new Error(`${error}; it said: ${await log()}`);
        }
      },
      async end(signal = "TERM") {
        await host.sh(`kill -${signal} $(cat ${base}.pid)`);
        await spawned.exited;
      },
    };
  }
}

function hex(seconds: number): string {
  return seconds.toString(16).padStart(8, "0");
}

function isIn(what: string | RegExp, log: string): boolean {
  return typeof what === "string" ? log.includes(what) : what.test(log);
}

interface Listed {
  readonly attachment: { readonly containerId: string };
  readonly address?: string;
  readonly error?: string;
}

/** A result of ADD, of version 1.1.0. */
export interface Result {
  readonly ips: readonly { readonly address: string; readonly gateway?: string }[];
  readonly routes?: readonly { readonly dst: string; readonly gw?: string; readonly priority?: number }[];
  readonly dns?: { readonly nameservers?: readonly string[] };
}

/** Containers on br0 with addresses of the LAN's server. */
export function lanConf(ipam: object = {}, more: object = {}): Record<string, unknown> {
  return { cniVersion: "1.1.0", name: "lan", type: "bridge", bridge: "br0", ipam: { type: "dhcp", ...ipam }, ...more };
}
