import type { Kind, ObjectOf, Sink } from "../../../proxy/source/source.ts";

/** A sink that keeps what it is told. */
export class Recorder implements Sink {
  readonly objects = new Map<string, unknown>();
  readonly bad = new Map<string, string>();
  readonly synchronized: Kind[] = [];
  readonly connections: string[] = [];

  set<K extends Kind>(kind: K, key: string, object: ObjectOf[K]): void {
    this.objects.set(`${kind} ${key}`, object);
    this.bad.delete(`${kind} ${key}`);
  }

  delete(kind: Kind, key: string): void {
    this.objects.delete(`${kind} ${key}`);
    this.bad.delete(`${kind} ${key}`);
  }

  *keys(kind: Kind): Iterable<string> {
    for (const id of this.objects.keys()) if (id.startsWith(`${kind} `)) yield id.slice(kind.length + 1);
  }

  synced(kind: Kind): void {
    this.synchronized.push(kind);
  }

  malformed(kind: Kind, key: string, reason: string): void {
    this.objects.delete(`${kind} ${key}`);
    this.bad.set(`${kind} ${key}`, reason);
  }

  connection(_: Kind, state: "up" | "down", reason?: string): void {
    this.connections.push(reason === undefined ? state : `${state}: ${reason}`);
  }

  get ids(): readonly string[] {
    return [...this.objects.keys()].sort();
  }
}
