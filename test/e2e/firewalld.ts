/**
 * Debian's firewalld on a test host, on a bus of its own.
 *
 * @module
 */
import type { Host } from "./host.ts";

// The bus's own policy lets nobody have a name; here everybody may.
const BUS = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
`;

/** Starts the bus alone. */
export async function startBus(host: Host): Promise<void> {
  await host.ok(["sh", "-ec", "mkdir -p /run/dbus; cat > /run/bus.conf"], { stdin: BUS });
  const bus = host.spawn(["dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile", "--print-address"]);
  const first = await bus.stdout.getReader().read();
  if (first.done) throw new Error(`no bus: ${await new Response(bus.stderr).text()}`);
}

/** Starts bus and firewalld, and waits until it has its rules in place. What it ends by is returned. */
export async function startFirewalld(host: Host): Promise<() => Promise<void>> {
  await startBus(host);
  // It logs to a file of the machine's, which this host does not hide.
  await host.sh("mount -t tmpfs tmpfs /var/log");
  const firewalld = host.spawn(["firewalld", "--nofork", "--nopid"]);
  await host.sh("until firewall-cmd --state >/dev/null 2>&1; do sleep 0.05; done");
  return async () => {
    // It is python behind nsenter, which does not hand signals on.
    await host.sh("kill $(ps -o pid= -C firewalld)");
    await firewalld.exited;
  };
}

/** The sources of a zone that firewalld has now, sorted. */
export async function sourcesOf(host: Host, zone: string): Promise<readonly string[]> {
  const listed = await host.ok(["firewall-cmd", `--zone=${zone}`, "--list-sources"]);
  return listed
    .split(/\s+/)
    .filter((source) => source !== "")
    .sort();
}
