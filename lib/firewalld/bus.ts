/**
 * Method calls on the system's D-Bus.
 *
 * The wire is @homebridge/dbus-native's, loaded when a bus is opened: who has no firewalld never loads it.
 *
 * @module
 */
import type { MessageBus } from "@homebridge/dbus-native";
import { messageOf, TsnetError } from "../errors.ts";

/** A method that takes texts. D-Bus specification, section "Message Protocol". */
export interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly texts: readonly string[];
}

/** What the one who was called answered with, instead of a value. */
export class BusRefusal extends Error {
  override readonly name = "BusRefusal";
}

export interface Bus {
  /** @throws BusRefusal with the callee's message; TsnetError `io` or `timeout` if the bus does not answer. */
  call(call: BusCall): Promise<unknown>;
  close(): void;
}

/** Connects to the bus of DBUS_SYSTEM_BUS_ADDRESS, else to the well-known one. Errors come with the first call. */
export async function openSystemBus(): Promise<Bus> {
  const { systemBus } = await import("@homebridge/dbus-native");
  const bus = systemBus();
  const lost = Promise.withResolvers<never>();
  // Nobody may be waiting when it breaks.
  lost.promise.catch(() => undefined);
  bus.connection.on("error", (error: unknown) => lost.reject(broken(messageOf(error), error)));
  bus.connection.on("end", () => lost.reject(broken("it closed the connection")));
  return {
    call: (call) => Promise.race([invoke(bus, call), lost.promise, deadline(call)]),
    close: () => bus.connection.stream.destroy(),
  };
}

function invoke(bus: MessageBus, { texts, ...call }: BusCall): Promise<unknown> {
  const message = { ...call, ...(texts.length === 0 ? {} : { signature: "s".repeat(texts.length), body: texts }) };
  return new Promise((resolve, reject) => {
    bus.invoke(message, (error, value: unknown) => {
      if (error === undefined || error === null) resolve(value);
      else reject(new BusRefusal(textOf(error.message)));
    });
  });
}

async function deadline({ member }: BusCall): Promise<never> {
  // Not in the way of the process's end.
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, TIMEOUT_MS).unref();
  await promise;
  throw new TsnetError(`D-Bus: ${member} is not answered after ${TIMEOUT_MS} ms`, { code: "timeout", op: "D-Bus" });
}

function broken(why: string, cause?: unknown): TsnetError {
  return new TsnetError(`cannot use the system's D-Bus: ${why}`, { code: "io", op: "D-Bus", cause });
}

function textOf(message: unknown): string {
  return typeof message === "string" ? message : String(message);
}

/** Milliseconds. firewalld answers nobody while it reloads, which takes it seconds with many rules. */
const TIMEOUT_MS = 20_000;
