import { describe, expect, it } from "vitest";
import { describeHolder, formatHolder, isHeldBy, isHeldByContainer, parseHolder } from "../../../lib/ipam/holder.ts";

const OWNER = { containerId: "web", ifname: "eth0" };

describe("a reservation's text", () => {
  it("is the container's id and the interface, as the reference writes it", () => {
    expect(formatHolder(OWNER)).toBe("web\r\neth0");
    expect(parseHolder("web\r\neth0")).toEqual({ kind: "attachment", ...OWNER });
    expect(isHeldBy(parseHolder(formatHolder(OWNER)), OWNER)).toBe(true);
    expect(isHeldBy(parseHolder("web\r\neth1"), OWNER)).toBe(false);
  });

  it("of old versions is the id alone, white space around it or not", () => {
    for (const text of ["web", "web\n", " web\r\n"]) {
      const holder = parseHolder(text);
      expect(holder).toEqual({ kind: "container", containerId: "web" });
      expect(isHeldBy(holder, OWNER)).toBe(false);
      expect(isHeldByContainer(holder, OWNER)).toBe(true);
    }
  });

  it("is nobody's if a crash left it empty, or filled with zeros", () => {
    expect(parseHolder("")).toEqual({ kind: "nobody" });
    expect(parseHolder("\0\0\0")).toEqual({ kind: "nobody" });
  });

  it("is a hand's otherwise", () => {
    for (const text of ["the printer's", "\n", "web\neth0"]) expect(parseHolder(text).kind).toBe("hand");
  });

  it("is described in a few words", () => {
    expect(describeHolder(parseHolder("web\r\neth0"))).toBe("web eth0");
    expect(describeHolder(parseHolder("web"))).toBe("web");
    expect(describeHolder(parseHolder("the printer's"))).toBe('"the printer\'s"');
    expect(describeHolder(parseHolder(""))).toBe("nobody");
  });
});
