import { expect, onTestFinished, test, vi } from "vitest";
import { openLog } from "../../../lib/daemon/log.ts";
import { watchConfig } from "../../../proxy/config/watch.ts";

const HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
const SAID = {
  changed: "INFO the configuration has changed: ending, to be started anew with it file=/c",
  unusable: "ERROR the configuration has changed and cannot be used: going on with the one before file=/c",
};

/** A proxy that watches a file, and a clock that only the test moves. */
function watched(text: string) {
  vi.useFakeTimers();
  const state = { text: text as string | undefined, changes: 0, lines: [] as string[] };
  const stop = watchConfig({
    path: "/c",
    flags: { config: ["/c"], v: ["2"] },
    log: openLog({ format: "text", verbosity: 0, write: (line) => state.lines.push(line.replace(/^\S+ /, "").trim()) }),
    changed: () => state.changes++,
    read: () => {
      if (state.text === "unreadable") throw new Error("EIO");
      return state.text;
    },
  });
  onTestFinished(() => {
    stop();
    vi.useRealTimers();
  });
  return {
    state,
    stop,
    become(next: string | undefined) {
      state.text = next;
      vi.advanceTimersByTime(2000);
    },
  };
}

test("a file that says something else ends the proxy, once", () => {
  const { state, become } = watched(HEAD);

  become(HEAD);
  expect(state).toMatchObject({ changes: 0, lines: [] });
  become(`${HEAD}mode: nftables\n`);
  become(`${HEAD}mode: iptables\n`);
  expect(state).toMatchObject({ changes: 1, lines: [SAID.changed] });
});

test("a file that is being replaced may be away or unreadable for a moment", () => {
  const { state, become } = watched(HEAD);

  become(undefined);
  become("unreadable");
  become(HEAD);
  expect(state).toMatchObject({ changes: 0, lines: [] });
});

test("one that cannot be used is named, and does not end a proxy that works; the next one that can does", () => {
  const { state, become } = watched(HEAD);

  become(`${HEAD}mode: ipvs\n`);
  expect(state.changes).toBe(0);
  expect(state.lines).toEqual([expect.stringContaining(SAID.unusable)]);
  become(`${HEAD}mode: nftables\n`);
  expect(state.changes).toBe(1);
});

test("what is not watched any more is not looked at", () => {
  const { state, stop, become } = watched(HEAD);

  stop();
  become(`${HEAD}mode: nftables\n`);
  expect(state.changes).toBe(0);
});
