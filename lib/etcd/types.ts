/**
 * What is asked of etcd and what it answers, in the terms of its API but for numbers and text.
 *
 * @module
 */

/** Where etcd is, and who asks. */
export interface EtcdAccess {
  /** `https://10.0.0.1:2379`. */
  readonly endpoint: string;
  /** Paths of PEM files; empty: none. Read at each connection, since certificates are renewed. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Empty: etcd asks for none. */
  readonly username: string;
  readonly password: string;
}

/** One key, or with `end` all keys from it to before that. */
export interface KeyRange {
  readonly key: string;
  readonly end?: string;
}

export interface KeyValue {
  readonly key: string;
  readonly text: string;
  /** The store's revision at which it was last written. */
  readonly revision: number;
  /** Of the lease that it ends with; `"0"` for a key that lasts. */
  readonly lease: string;
}

export interface Listing {
  /** The store's, at which all was as listed. */
  readonly revision: number;
  /** One list a range. */
  readonly lists: readonly (readonly KeyValue[])[];
}

/** A condition of a commit. */
export type Condition =
  /** The key was last written at that revision. */
  | { readonly kind: "unchanged"; readonly key: string; readonly revision: number }
  /** There is no such key. */
  | { readonly kind: "absent"; readonly range: KeyRange }
  /** No key of those that are there was written after that revision. */
  | { readonly kind: "untouched"; readonly range: KeyRange; readonly revision: number };

export type Operation =
  | { readonly kind: "put"; readonly key: string; readonly text: string; readonly lease: string }
  | { readonly kind: "delete"; readonly key: string };

export interface WatchListener {
  /** All ranges are watched from here on. */
  created(): void;
  put(entry: KeyValue): void;
  deleted(key: string, revision: number): void;
  /** Nothing more comes; told once, and not after `close`. */
  ended(reason: Error): void;
}

/** All keys that begin with `prefix`. */
export function prefixRange(prefix: string): KeyRange {
  // The next text after all that begin so: our prefixes are ASCII, and end in less than 0x7f.
  const last = prefix.charCodeAt(prefix.length - 1);
  return { key: prefix, end: prefix.slice(0, -1) + String.fromCharCode(last + 1) };
}
