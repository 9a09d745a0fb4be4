import { expect, test } from "vitest";
import { etcdError } from "../../../lib/etcd/errors.ts";
import { optionsFor } from "../../../lib/etcd/options.ts";
import { prefixRange } from "../../../lib/etcd/types.ts";

const ACCESS = { caFile: "", certFile: "", keyFile: "", username: "", password: "" };

test.each([
  ["http://10.0.0.1:2379", "http://10.0.0.1:2379"],
  ["https://10.0.0.1:443/", "https://10.0.0.1:443"],
  ["http://[fd00::1]:2379", "http://[fd00::1]:2379"],
  ["http://etcd.example", "http://etcd.example:2379"],
])("the endpoint %s is asked at %s", (endpoint, hosts) => {
  expect(optionsFor({ ...ACCESS, endpoint }).hosts).toBe(hosts);
});

test.each(["10.0.0.1:2379", "ftp://10.0.0.1", "https://", "https://fd00::1:2379", "https://a/b"])(
  "the endpoint %s is refused",
  (endpoint) => {
    expect(() => optionsFor({ ...ACCESS, endpoint })).toThrow(`${endpoint} is no URL of etcd`);
  },
);

test("TLS and a user are for those who say so", () => {
  const plain = optionsFor({ ...ACCESS, endpoint: "http://10.0.0.1:2379" });
  expect([plain.credentials, plain.auth]).toEqual([undefined, undefined]);
  const secure = optionsFor({ ...ACCESS, endpoint: "https://10.0.0.1:2379", username: "a", password: "b:c" });
  expect(secure.credentials?.rootCertificate.toString()).toContain("BEGIN CERTIFICATE");
  expect(secure.auth).toMatchObject({ username: "a", password: "b:c" });
});

test("a prefix's range ends before what does not begin so", () => {
  expect(prefixRange("/coreos.com/network/subnets/")).toEqual({
    key: "/coreos.com/network/subnets/",
    end: "/coreos.com/network/subnets0",
  });
});

test.each([
  [
    "14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.1:2379. Resolution note: ",
    "no connection: connect ECONNREFUSED 10.0.0.1:2379",
  ],
  ["14 UNAVAILABLE: No connection established. Last error: null. Resolution note: ", "no connection"],
  ["GRPCUnknownError: 2 UNKNOWN: etcdserver: no leader", "no leader"],
  ["4 DEADLINE_EXCEEDED: Deadline exceeded after 5.001s,waiting for name resolution", "no answer in time"],
])("%j is told as what it means", (text, told) => {
  expect(etcdError(new Error(text), "etcd at https://10.0.0.1:2379").message).toBe(
    `etcd at https://10.0.0.1:2379: ${told}`,
  );
});
