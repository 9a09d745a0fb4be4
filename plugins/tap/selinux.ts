/**
 * A TAP device with an SELinux label: it gets that of the process that makes it, so a process of its own does, which
 * takes the label on as it starts `ip`.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { readIfThere } from "../../lib/sys/files.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import { run } from "../../lib/sys/run.ts";
import type { TapSpec } from "../../lib/sys/tap.ts";

/**
 * Makes the device as a process of the given context does.
 *
 * @throws TsnetError `kernel-lacks` without SELinux, before anything is touched; `program` if the context is refused.
 */
export async function addLabelledTap(netns: Netns, spec: TapSpec, context: string): Promise<void> {
  // What libselinux looks for, too: the kernel knows the file system only where SELinux is on.
  if (!/\tselinuxfs$/m.test(readIfThere("/proc/filesystems") ?? "")) {
    throw new TsnetError(
      `failed set socket label: selinuxContext is ${context}, and this kernel has no SELinux: leave it out`,
      {
        code: "kernel-lacks",
        op: "label tap",
      },
    );
  }
  const [program = "", ...args] = labelled(tuntap(spec), context);
  const { exitCode, stderr } = await run(program, args, { inheritFd: netns.fd });
  if (exitCode === 0) return;
  throw new TsnetError(`cannot make tap ${spec.name} as ${context}: ${stderr.trim()}`, {
    code: "program",
    op: "label tap",
  });
}

/** The command line that enters the namespace behind descriptor 3 and runs `argv` with the label. Pure. */
export function labelled(argv: readonly string[], context: string): readonly string[] {
  // The label counts for the next program that this very process starts: proc_pid_attr(5).
  const script = 'printf %s "$0" >/proc/self/attr/exec && exec "$@"';
  return ["nsenter", "--net=/proc/self/fd/3", "sh", "-c", script, context, ...argv];
}

/** The `ip` command that makes the device. Pure. */
export function tuntap({ name, multiQueue, owner, group }: TapSpec): readonly string[] {
  return [
    ...["ip", "tuntap", "add", "mode", "tap", "name", name],
    ...(multiQueue ? ["multi_queue"] : []),
    ...(owner === undefined ? [] : ["user", String(owner)]),
    ...(group === undefined ? [] : ["group", String(group)]),
  ];
}
