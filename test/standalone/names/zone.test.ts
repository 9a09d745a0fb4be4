/** Who is called what, as each container sees it. */
import { describe, expect, test } from "vitest";
import { Zone } from "../../../standalone/names/zone.ts";
import { container, network } from "./records.ts";

const FRONT = network("front", { subnets: ["10.1.0.0/24", "fd01::/64"], gateways: ["10.1.0.1", "fd01::1"] });
const BACK = network("back", { subnets: ["10.2.0.0/24"], gateways: ["10.2.0.1"], internal: true });
const OTHER = network("other", { subnets: ["10.3.0.0/24"], gateways: ["10.3.0.1"] });
const NETWORKS = [FRONT, BACK, OTHER];

const WEB = container("web", [{ network: FRONT, addresses: ["10.1.0.2/24", "fd01::2/64"], aliases: ["www", "shop"] }]);
const API = container("api", [
  { network: FRONT, addresses: ["10.1.0.3/24"], aliases: ["shop"] },
  { network: BACK, addresses: ["10.2.0.3/24"] },
]);
const DB = container("db", [{ network: BACK, addresses: ["10.2.0.4/24"] }], { hostname: "postgres.example" });
const FAR = container("far", [{ network: OTHER, addresses: ["10.3.0.2/24"] }]);

const zone = new Zone({ containers: [WEB, API, DB, FAR], networks: NETWORKS });
const addresses = (...list: readonly string[]) => ({ kind: "addresses", addresses: list });
const ABSENT = { kind: "absent" };
const ELSEWHERE = { kind: "elsewhere" };

describe("a name", () => {
  test.each([
    ["p.web", "api", addresses("10.1.0.3")],
    ["p.web", "api.front", addresses("10.1.0.3")],
    ["p.web", "web", addresses("10.1.0.2", "fd01::2")],
    ["p.web", "WWW.Front.", addresses("10.1.0.2", "fd01::2")],
    ["p.api", "api", addresses("10.1.0.3", "10.2.0.3")],
    ["p.api", "api.back", addresses("10.2.0.3")],
    ["p.db", "api", addresses("10.2.0.3")],
    ["p.api", "postgres.example", addresses("10.2.0.4")],
    ["p.api", "postgres.example.back", addresses("10.2.0.4")],
  ])("of a network that %s is on: %s", (id, name, found) => {
    expect(zone.find(id, name)).toEqual(found);
  });

  test("that several share has the addresses of all", () => {
    expect(zone.find("p.web", "shop")).toEqual(addresses("10.1.0.2", "fd01::2", "10.1.0.3"));
  });

  test.each([
    ["p.web", "db"],
    ["p.web", "api.back"],
    ["p.db", "web"],
    ["p.far", "web"],
    ["p.nobody", "web"],
    ["p.web", "example.com"],
    ["p.web", "nothing.front"],
  ])("is somebody else's for who is not on its network: %s asks for %s", (id, name) => {
    expect(zone.find(id, name)).toEqual(ELSEWHERE);
  });

  test("of a host leads to the addresses of its first network, and localhost stays at home", () => {
    expect(zone.find("p.web", "host.tsnet.internal")).toEqual(addresses("10.1.0.1", "fd01::1"));
    expect(zone.find("p.db", "host.tsnet.internal")).toEqual(addresses("10.2.0.1"));
    expect(zone.find("p.nobody", "host.tsnet.internal")).toEqual(ABSENT);
    expect(zone.find("p.web", "localhost")).toEqual(addresses("127.0.0.1", "::1"));
  });

  test("of a container is never another one's host name", () => {
    const thief = container("thief", [{ network: FRONT, addresses: ["10.1.0.9/24"] }], { hostname: "web" });
    const more = new Zone({ containers: [thief, WEB, API], networks: NETWORKS });
    expect(more.find("p.api", "web")).toEqual(addresses("10.1.0.2", "fd01::2"));
  });

  test("is given up by a container whose command has ended", () => {
    const ended = new Zone({ containers: [{ ...WEB, exit: { code: 1, at: 0 } }, API], networks: NETWORKS });
    expect(ended.find("p.api", "web")).toEqual(ELSEWHERE);
  });
});

describe("an address turned round", () => {
  const six = (last: string) => `${last}.${"0.".repeat(27)}1.0.d.f.ip6.arpa`;

  test.each([
    ["p.web", "3.0.1.10.in-addr.arpa", { kind: "pointer", name: "api.front" }],
    ["p.api", six("2"), { kind: "pointer", name: "web.front" }],
    ["p.web", "1.0.1.10.in-addr.arpa", { kind: "pointer", name: "host.tsnet.internal" }],
    ["p.web", "77.0.1.10.in-addr.arpa", ABSENT],
    ["p.web", six("f"), ABSENT],
    ["p.web", "4.0.2.10.in-addr.arpa", ELSEWHERE],
    ["p.web", "8.8.8.8.in-addr.arpa", ELSEWHERE],
    ["p.web", "0.1.10.in-addr.arpa", ELSEWHERE],
    ["p.web", "3.0.1.300.in-addr.arpa", ELSEWHERE],
  ])("%s asks for %s", (id, name, found) => {
    expect(zone.find(id, name)).toEqual(found);
  });
});

describe("all else", () => {
  test("is asked of the host's resolvers, or of those that the container names", () => {
    expect(zone.askedBy("p.web")).toBe("host");
    const own = { ...WEB, start: { ...WEB.start, dns: ["192.168.1.1"] } };
    expect(new Zone({ containers: [own], networks: NETWORKS }).askedBy("p.web")).toEqual(["192.168.1.1"]);
  });

  test("is asked of nobody by a container that is on internal networks alone", () => {
    expect(zone.askedBy("p.db")).toBe("nobody");
    expect(zone.askedBy("p.api")).toBe("host");
  });
});
