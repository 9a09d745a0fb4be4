/**
 * What a client and a server come to: a new lease by DISCOVER, OFFER, REQUEST, ACK, more time by REQUEST, ACK, or that
 * it failed. RFC 2131, sections 4.4.1 and 4.4.5.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../errors.ts";
import { type Address, formatAddress, sameAddress } from "../net/address.ts";
import { formatCidr } from "../net/cidr.ts";
import { type Lease, leaseOf } from "./lease.ts";
import { type Incoming, MESSAGE } from "./message.ts";
import { addressOption, OPTION, textOption } from "./options.ts";
import { type Answer, ask, type Means, type Route, TO_EVERYBODY } from "./question.ts";
import { type Choice, type Client, discover, renew, select } from "./requests.ts";

/** One side of it. */
export interface Speaker extends Means {
  readonly client: Client;
  /** For the answer to one request, in ms. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/** What a server says to who asks for more time: a lease, that the address is not the client's, or nothing. */
export type Prolonged = Lease | "refused" | "silence";

/**
 * A new lease. With `only`, no other address is taken.
 *
 * @param end when to give up, by the clock.
 * @throws TsnetError that {@link isFailedTry}; `decoding` for an answer that lacks something; what opening the link
 * throws; the signal's reason.
 */
export async function negotiate(speaker: Speaker, end: number, only?: Address): Promise<Lease> {
  const { client, clock, random, signal } = speaker;
  const xid = newXid(random);
  const offer = await ask(
    {
      message: (seconds) => discover(client, { xid, seconds }, only),
      route: TO_EVERYBODY,
      isAnswer: (message) => message.type === MESSAGE.offer && choiceIn(message) !== undefined,
      until: untilOf(speaker, end),
    },
    speaker,
    signal,
  );
  const choice = chosen(offer, only);
  const askedAt = clock.now();
  const answer = await ask(
    {
      message: (seconds) => select(client, { xid, seconds }, choice),
      route: TO_EVERYBODY,
      isAnswer: (message) => isFrom(message, choice.server) && isVerdict(message, choice.address),
      until: untilOf(speaker, end),
    },
    speaker,
    signal,
  );
  return accepted(answer, choice, askedAt);
}

/** How to ask for more time. */
export interface Prolonging {
  readonly lease: Lease;
  readonly route: Route;
  /** Whose answer counts; anybody's if undefined. */
  readonly server?: Address;
  /** When to give up, by the clock. */
  readonly end: number;
}

/** More time for a lease. `note` is told why there is silence. @throws as {@link negotiate}, but for failed tries. */
export async function prolong(
  speaker: Speaker,
  { lease, route, server, end }: Prolonging,
  note: (message: string) => void,
): Promise<Prolonged> {
  const { client, clock, random, signal } = speaker;
  const xid = newXid(random);
  const askedAt = clock.now();
  const answer = await ask(
    {
      message: (seconds) => renew(client, { xid, seconds }, lease),
      route,
      isAnswer: (message) =>
        (server === undefined || isFrom(message, server)) && isVerdict(message, lease.address.address),
      until: untilOf(speaker, end),
    },
    speaker,
    signal,
  );
  if (typeof answer === "string") {
    note(`renewing ${formatCidr(lease.address)}: ${answer}`);
    return "silence";
  }
  if (isNak(answer.message)) return "refused";
  return leaseOf({ ...answer, askedAt, before: lease });
}

/** Whether the next try may go better. */
export function isFailedTry(error: unknown): error is TsnetError {
  return isTsnetError(error, "timeout", "conflict") && error.op === TRY;
}

/** The number of a conversation. */
export function newXid(random: () => number): number {
  return Math.floor(random() * 2 ** 32);
}

function untilOf({ clock, timeout }: Speaker, end: number): number {
  return Math.min(end, clock.now() + timeout);
}

function chosen(offer: Answer | string, only: Address | undefined): Choice {
  if (typeof offer === "string") throw failedTry(`no DHCP server offers an address: ${offer}`, "timeout");
  const choice = choiceIn(offer.message);
  if (choice === undefined) throw failedTry("an offer without a server", "conflict");
  if (only === undefined || sameAddress(choice.address, only)) return choice;
  const [other, ours] = [formatAddress(choice.address), formatAddress(only)];
  throw failedTry(`server ${formatAddress(choice.server)} offers ${other} instead of ${ours}`, "conflict");
}

function choiceIn(message: Incoming): Choice | undefined {
  const server = addressOption(message.options, OPTION.serverId);
  if (server === undefined || message.yourAddress.value === 0n) return undefined;
  return { address: message.yourAddress, server };
}

function accepted(answer: Answer | string, { address, server }: Choice, askedAt: number): Lease {
  const who = `DHCP server ${formatAddress(server)}`;
  if (typeof answer === "string")
    throw failedTry(`${who} offered ${formatAddress(address)}, then: ${answer}`, "timeout");
  if (!isNak(answer.message)) return leaseOf({ ...answer, askedAt });
  const why = textOption(answer.message.options, OPTION.message);
  throw failedTry(`${who} refused ${formatAddress(address)}${why === undefined ? "" : `: ${why}`}`, "conflict");
}

/** Some servers leave their name out. */
function isFrom(message: Incoming, server: Address): boolean {
  const named = addressOption(message.options, OPTION.serverId);
  return named === undefined || sameAddress(named, server);
}

/** Yes or no to that address. */
function isVerdict(message: Incoming, address: Address): boolean {
  return isNak(message) || (message.type === MESSAGE.ack && sameAddress(message.yourAddress, address));
}

function isNak(message: Incoming): boolean {
  return message.type === MESSAGE.nak;
}

/** Marks what may go better the next time. */
const TRY = "DHCP try";

function failedTry(message: string, code: "timeout" | "conflict"): TsnetError {
  return new TsnetError(message, { code, op: TRY });
}
