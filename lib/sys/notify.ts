/**
 * Telling the service manager that we are ready: sd_notify(3), for units of Type=notify.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { check, openLibc } from "./libc.ts";
import { closeFd, send } from "./native.ts";

// linux/socket.h, linux/un.h
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const PATH_BYTES = 108;

const SYMBOLS = {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  connect: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
} as const;

/**
 * Sends `state`, such as `READY=1`; nothing where no manager asked for it.
 *
 * @throws TsnetError with the errno if the manager's socket is not there.
 */
export function notifyManager(state: string, path = process.env.NOTIFY_SOCKET ?? ""): void {
  const bytes = Buffer.from(path);
  if (bytes.length === 0 || bytes.length > PATH_BYTES - 1) return;
  const { socket, connect } = openLibc(SYMBOLS);
  // struct sockaddr_un: u16 family, and the path; a leading @ stands for the zero of an abstract name.
  const address = Buffer.alloc(2 + bytes.length + 1);
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, 2);
  const isAbstract = path.startsWith("@");
  if (isAbstract) address[2] = 0;
  const fd = check("socket", socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    check("connect", connect(fd, address, address.length - (isAbstract ? 1 : 0)));
    send(fd, Buffer.from(state));
  } finally {
    closeFd(fd);
  }
}
