/**
 * Who a command runs as, from the user and group files of the container's root. Pure.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";

export interface User {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  readonly home: string;
}

/** The texts of passwd(5) and group(5); empty where there are none. */
export interface Accounts {
  readonly passwd: string;
  readonly group: string;
}

/**
 * Finds `USER[:GROUP]`, by name or number; root where nothing is said. A number that no account has is taken as it
 * is, with group 0.
 *
 * @throws TsnetError `not-found` for a name that is not there.
 */
export function findUser(wanted: string | undefined, accounts: Accounts): User {
  const [name = "root", groupName] = (wanted ?? "0").split(":");
  const account = fieldsOf(accounts.passwd).find(([login, , uid]) => login === name || uid === name);
  const uid = account === undefined ? asNumber(name) : Number(account[2]);
  if (uid === undefined)
    throw new TsnetError(`no user ${name} in the container's /etc/passwd`, { code: "not-found", op: "find user" });
  const groups = fieldsOf(accounts.group);
  const gid = groupName === undefined ? Number(account?.[3] ?? 0) : findGroup(groupName, groups);
  const login = account?.[0];
  const member = (members = "") => login !== undefined && members.split(",").includes(login);
  return {
    uid,
    gid,
    // Who names a group wants that one alone, as Docker has it.
    groups:
      groupName === undefined ? groups.filter(([, , , members]) => member(members)).map(([, , id]) => Number(id)) : [],
    home: account?.[5] || (uid === 0 ? "/root" : "/"),
  };
}

function findGroup(name: string, groups: readonly (readonly string[])[]): number {
  const found = groups.find(([group, , id]) => group === name || id === name);
  const gid = found === undefined ? asNumber(name) : Number(found[2]);
  if (gid !== undefined) return gid;
  throw new TsnetError(`no group ${name} in the container's /etc/group`, { code: "not-found", op: "find user" });
}

function fieldsOf(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));
}

function asNumber(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
