/**
 * A journal: what a run has finished, so that it can go on after any interruption.
 *
 * @module
 */

/** A value that survives `JSON.stringify` and `JSON.parse`. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/**
 * Keyed records in lists, and named blobs.
 *
 * Laws: an `append` or `write` that resolved is there after a crash; one that did not is there whole
 * or not at all.
 */
export interface Journal {
  /** Records of a list by key, in the order they were appended. */
  records(list: string): Promise<ReadonlyMap<string, Json>>;
  /** Appends a record. @throws {RangeError} When the list already has the key. */
  append(list: string, key: string, record: Json): Promise<void>;
  /** A blob, if it was written. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Writes a blob, replacing any before. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Removes a blob, if there is one. */
  remove(name: string): Promise<void>;
  /** The same journal with names below `path/`. */
  within(path: string): Journal;
}

/** A journal in memory, for runs that need not survive and for tests. */
export function memoryJournal(): Journal {
  const lists = new Map<string, Map<string, Json>>();
  const blobs = new Map<string, Uint8Array>();
  const at = (prefix: string): Journal => ({
    records: (list) => Promise.resolve(new Map(lists.get(prefix + list))),
    append(list, key, record) {
      const records = lists.get(prefix + list) ?? new Map<string, Json>();
      if (records.has(key)) {
        return Promise.reject(
          new RangeError(`Cannot append to ${prefix}${list} as its keys must be new: ${key}`),
        );
      }
      records.set(key, record);
      lists.set(prefix + list, records);
      return Promise.resolve();
    },
    read: (name) => Promise.resolve(blobs.get(prefix + name)?.slice()),
    write(name, bytes) {
      blobs.set(prefix + name, bytes.slice());
      return Promise.resolve();
    },
    remove(name) {
      blobs.delete(prefix + name);
      return Promise.resolve();
    },
    within: (path) => at(`${prefix}${path}/`),
  });
  return at("");
}

/** A journal that keeps nothing, for runs that want none. */
export function discardingJournal(): Journal {
  const journal: Journal = {
    records: () => Promise.resolve(new Map<string, Json>()),
    append: () => Promise.resolve(),
    read: () => Promise.resolve(undefined),
    write: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    within: () => journal,
  };
  return journal;
}
