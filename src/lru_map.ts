/** A map of bounded size: the entry whose last use is longest ago goes. */
export class LruMap<Key, Value> {
  readonly #maxEntries: number;
  /** Least recently used first. */
  readonly #entries = new Map<Key, Value>();

  /** @param maxEntries 1 or more */
  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @returns the value; that counts as a use */
  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined && this.#keepsOrder) this.#moveToEnd(key, value);
    return value;
  }

  /** Adds or replaces an entry; that counts as a use. */
  set(key: Key, value: Value): void {
    if (this.#keepsOrder) this.#moveToEnd(key, value);
    else this.#entries.set(key, value);
    if (this.#entries.size <= this.#maxEntries) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }

  delete(key: Key): void {
    this.#entries.delete(key);
  }

  /** Whether the order of use is kept. That has its price at each use, and matters only once entries may have to go. */
  get #keepsOrder(): boolean {
    return this.#entries.size * 2 >= this.#maxEntries;
  }

  #moveToEnd(key: Key, value: Value): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
  }

  /**
   * The entries. They are in the order of their use only once the map is half full, and before that in the order in
   * which they came, so no caller may rely on the order.
   */
  [Symbol.iterator](): IterableIterator<[Key, Value]> {
    return this.#entries[Symbol.iterator]();
  }
}
