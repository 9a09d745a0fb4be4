/**
 * Which of the host's links the config means, by way of sysfs where it names a device and not a link.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { type Link, linkGet, linkList } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { exists, namesIn, sameFile } from "../../lib/sys/files.ts";
import type { DeviceConfig } from "./config.ts";

const PCI = "/sys/bus/pci";
const AUXILIARY = "/sys/bus/auxiliary";
/** Drivers that hand a device to a program: there is no link then. */
const USERSPACE_DRIVERS = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/** Where on its bus the device is; both undefined where the config names none. */
export interface BusPlace {
  readonly pci: string | undefined;
  readonly auxiliary: string | undefined;
}

/** @throws TsnetError `not-found` if the runtime's device is on neither bus. */
export function placeOf({ pciBusID, deviceID }: DeviceConfig): BusPlace {
  if (deviceID === undefined) return { pci: pciBusID, auxiliary: undefined };
  if (exists(`${PCI}/devices/${deviceID}`)) return { pci: deviceID, auxiliary: undefined };
  if (exists(`${AUXILIARY}/devices/${deviceID}`)) return { pci: undefined, auxiliary: deviceID };
  throw notFound(
    `runtime config DeviceID ${deviceID} not found or unsupported: it is on neither the PCI nor the auxiliary bus`,
  );
}

/** Whether a program drives the device, as with DPDK. @throws TsnetError `not-found` if it has no driver at all. */
export function isInUserspace({ pci }: BusPlace): boolean {
  if (pci === undefined) return false;
  const driver = `${PCI}/devices/${pci}/driver`;
  if (!exists(driver))
    throw notFound(`error with host device: ${driver} is not there: the device is absent or has no driver`);
  return USERSPACE_DRIVERS.some((name) => sameFile(driver, `${PCI}/drivers/${name}`));
}

/** The link of the device on the host. @throws TsnetError `not-found`. */
export function findDevice(host: RtSocket, { device, hwaddr, kernelpath }: DeviceConfig, place: BusPlace): Link {
  if (device !== undefined) return linkNamed(host, device);
  if (hwaddr !== undefined) {
    const found = linkList(host).find(({ mac }) => mac === hwaddr);
    if (found === undefined) throw failed(`no link has the hardware address ${hwaddr}`);
    return found;
  }
  if (kernelpath !== undefined) return linkIn(host, `${kernelpath}/net`);
  if (place.pci !== undefined) return linkIn(host, netFolderOf(place.pci));
  return linkIn(host, `${AUXILIARY}/devices/${place.auxiliary}/net`);
}

/** A virtio device has another between the bus and its link. */
function netFolderOf(pci: string): string {
  const folder = `${PCI}/devices/${pci}`;
  const below = ["", ...namesIn(folder).filter((name) => name.startsWith("virtio"))];
  const found = below.map((name) => `${folder}/${name}/net`.replace("//", "/")).find(exists);
  if (found === undefined) throw failed(`no net directory under pci device ${pci}`);
  return found;
}

/** The first link of a device's folder. */
function linkIn(host: RtSocket, folder: string): Link {
  if (!exists(folder)) throw failed(`failed to read directory ${folder}: it is not there`);
  const [name] = namesIn(folder);
  if (name === undefined) throw failed(`failed to find network device in path ${folder}`);
  return linkNamed(host, name);
}

function linkNamed(host: RtSocket, name: string): Link {
  const link = linkGet(host, name);
  if (link === undefined) throw failed(`the host has no link ${name}`);
  return link;
}

function failed(why: string): TsnetError {
  return notFound(`failed to find host device: ${why}`);
}

function notFound(message: string): TsnetError {
  return new TsnetError(message, { code: "not-found", op: "find device", errno: "ENODEV" });
}
