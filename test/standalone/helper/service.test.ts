/** A sync brings every part in line with the state, one at a time. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Service } from "../../../standalone/helper/service.ts";
import type { HelperPart, HelperView } from "../../../standalone/helper/view.ts";
import { State } from "../../../standalone/state/state.ts";

let directory: string;
let state: State;

beforeEach(() => {
  directory = mkdtempSync(`${tmpdir()}/tsnet-`);
  state = new State(directory, `${directory}/kept`);
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A part that notes what it was asked to serve, and takes until it is let go on. */
class Slow implements HelperPart {
  readonly views: HelperView[] = [];
  going = 0;
  most = 0;

  async sync(view: HelperView): Promise<void> {
    this.views.push(view);
    this.going++;
    this.most = Math.max(this.most, this.going);
    await Bun.sleep(5);
    this.going--;
  }

  close(): void {}
}

function serviceOf(parts: Readonly<Record<string, HelperPart>>, said: string[] = []): Service {
  return new Service({
    state,
    parts: new Map(Object.entries(parts)),
    living: (records) => records,
    say: (line) => void said.push(line),
  });
}

describe("many syncs at once", () => {
  test("are one that goes on and one for all who came meanwhile", async () => {
    const part = new Slow();
    const service = serviceOf({ part });
    await Promise.all(Array.from({ length: 10 }, () => service.sync()));
    expect(part.views).toHaveLength(2);
    expect(part.most).toBe(1);
  });

  test("each show what was written before they were asked for", async () => {
    const part = new Slow();
    const service = serviceOf({ part });
    const first = service.sync();
    state.putNetwork(NETWORK);
    await Promise.all([first, service.sync()]);
    expect(part.views.map(({ networks }) => networks.length)).toEqual([0, 1]);
  });
});

test("a part that fails keeps no other from its work, and is told of once", async () => {
  const said: string[] = [];
  const part = new Slow();
  const broken: HelperPart = {
    sync: async () => {
      throw new Error("no names in web");
    },
    close: () => undefined,
  };
  const service = serviceOf({ broken, part }, said);
  expect((await service.sync()).errors).toEqual(["no names in web"]);
  await service.sync();
  expect(part.views).toHaveLength(2);
  expect(said).toEqual(["no names in web"]);
});

test("it is idle when the last network is gone", async () => {
  const service = serviceOf({});
  state.putNetwork(NETWORK);
  await service.sync();
  expect(service.isIdle()).toBe(false);
  state.removeNetwork(NETWORK);
  await service.sync();
  expect(service.isIdle()).toBe(true);
});

const NETWORK = {
  id: "a.net",
  project: "a",
  name: "net",
  bridge: "a-net",
  ownsBridge: true,
  subnets: ["10.1.0.0/24"],
  gateways: ["10.1.0.1"],
  masquerade: true,
  options: {},
  fingerprint: "",
};
