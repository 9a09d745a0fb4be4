import { expect, it } from "vitest";
import { fakeFirewalld } from "../../../lib/firewalld/firewalld.fake.ts";
import { EXPECTED, transcript } from "./cases.ts";

it("the double of firewalld answers as the real one does in test/e2e", async () => {
  expect(await transcript(fakeFirewalld())).toEqual(EXPECTED);
});
