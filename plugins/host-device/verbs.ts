/**
 * The verbs of host-device: a container gets one of the host's own links for as long as it lives.
 *
 * @module
 */
import type { Attachment, CniResult, PluginCall } from "../../lib/cni/types.ts";
import { isTsnetError } from "../../lib/errors.ts";
import { callIpam } from "../../lib/ipam/call.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import { checkFailed } from "../../lib/plugin/check.ts";
import {
  addInterface,
  addressing,
  checkInterface,
  delInterface,
  gcAddresses,
  ipamTypeOf,
  statusOfAddresses,
} from "../../lib/plugin/interface.ts";
import { refuseExisting } from "../../lib/plugin/link.ts";
import { lockNamespace } from "../../lib/plugin/lock.ts";
import { openNamespaces } from "../../lib/plugin/netns.ts";
import { Undo } from "../../lib/undo.ts";
import { type DeviceConfig, parseConfig, parseDevice } from "./config.ts";
import { findDevice, isInUserspace, placeOf } from "./find.ts";
import { giveBack, moveIn, nameReturned } from "./move.ts";
import { isOfAnotherNetwork, readRecord, recordsOf, removeRecord, sweepRecords } from "./record.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  const place = placeOf(config);
  if (isInUserspace(place)) return addWithoutLink(call, config, place.pci);
  return addInterface(call, {
    ipamType: config.ipamType,
    ...(place.pci === undefined ? {} : { pciID: place.pci }),
    // Others beside us give addresses on the device's network: duplicates are looked for.
    enableDad: true,
    async put(scene) {
      // Of two ADDs of one attachment at once the second must not take back what the first moved.
      await lockNamespace(scene.netns);
      refuseExisting(scene.container, scene.netns, call.ifname, "interface");
      return moveIn(scene, findDevice(scene.host, config, place));
    },
  });
}

export async function del(call: PluginCall): Promise<void> {
  const { attachment } = call;
  await delInterface(call, {
    ipamType: ipamTypeOf(call),
    remove() {
      giveBackOf(attachment, call.netns, call.conf.raw.string("device"));
      removeRecord(attachment);
    },
  });
}

export async function check(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const { ipamType } = config;
  if (isInUserspace(placeOf(config))) {
    if (ipamType !== undefined) await callIpam(ipamType, call, "CHECK");
    return;
  }
  await checkInterface(call, {
    ipamType,
    look(link) {
      const device = readRecord(call.attachment)?.device ?? config.device ?? link.alias;
      if (device === undefined || link.alias !== device)
        throw checkFailed(
          `${link.name} has the alias ${link.alias ?? "none"}, wanted ${device ?? "its name on the host"}`,
        );
    },
  });
}

/** Devices whose containers are not in the list are given back, where their namespaces are still there. */
export async function gc(call: PluginCall): Promise<void> {
  const { validAttachments, name } = call.conf;
  if (validAttachments === undefined) return;
  const attempts = new Attempts("GC host-device");
  await attempts.try(sweepRecords);
  for (const { attachment, netns } of recordsOf(name)) {
    const { containerId, ifname } = attachment;
    if (validAttachments.some((valid) => valid.containerID === containerId && valid.ifname === ifname)) continue;
    await attempts.try(() => {
      giveBackOf(attachment, netns, undefined);
      removeRecord(attachment);
    });
  }
  await attempts.try(() => gcAddresses(call));
  attempts.finish();
}

/** The device is on the host, or a container of the network has it. */
export async function status(call: PluginCall): Promise<void> {
  const config = parseDevice(call);
  try {
    lookForDevice(config);
  } catch (error) {
    if (!isTsnetError(error, "not-found") || recordsOf(call.conf.name).length === 0) throw error;
  }
  await statusOfAddresses(call);
}

/** A device that a program drives has no link to move: the container gets its addresses alone. */
async function addWithoutLink(call: PluginCall, config: DeviceConfig, pci: string | undefined): Promise<CniResult> {
  openNamespaces(call.netns)[Symbol.dispose]();
  const undo = new Undo();
  try {
    const interfaces = [{ name: call.ifname, sandbox: call.netns, ...(pci === undefined ? {} : { pciID: pci }) }];
    return { interfaces, ...(await addressing(call, config, undo)) };
  } catch (error) {
    throw await undo.unwind(error);
  }
}

function giveBackOf(attachment: Attachment, path: string, named: string | undefined): void {
  const record = readRecord(attachment);
  // A runtime calls DEL also after an ADD that failed because another network has the interface.
  if (record === undefined && isOfAnotherNetwork(attachment)) return;
  const device = named === "" ? undefined : named;
  const { ifname } = attachment;
  using host = RtSocket.open();
  if (giveBack(host, path === "" ? (record?.netns ?? "") : path, { ifname, record, device })) return;
  if (record !== undefined) nameReturned(host, record, record.mac);
  else if (device !== undefined) nameReturned(host, { device, alias: "", up: false }, undefined);
}

function lookForDevice(config: DeviceConfig): void {
  const { device, hwaddr, kernelpath, pciBusID } = config;
  if ([device, hwaddr, kernelpath, pciBusID].every((key) => key === undefined)) return;
  const place = placeOf({ ...config, deviceID: undefined });
  using host = RtSocket.open();
  if (!isInUserspace(place)) findDevice(host, config, place);
}
