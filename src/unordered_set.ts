/**
 * Objects that come and go all the time, in no order, where a `Set` or a `Map` costs too much memory: whenever V8
 * replaces the table of one, the old table goes on pointing to the new one. So an old table that has reached the old
 * generation keeps all later tables alive, with all that was in them, until the next full garbage collection.
 */
export class UnorderedSet<Item> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** @param item is not in it yet */
  add(item: Item): void {
    this.#items.push(item);
  }

  find(isWanted: (item: Item) => boolean): Item | undefined {
    return this.#items.find(isWanted);
  }

  /** @returns whether it was in it */
  delete(item: Item): boolean {
    const at = this.#items.indexOf(item);
    if (at < 0) return false;
    const last = this.#items.pop();
    if (last !== undefined && last !== item) this.#items[at] = last;
    return true;
  }

  /** Those that are in it now: what is added or deleted meanwhile changes nothing. */
  [Symbol.iterator](): IterableIterator<Item> {
    return [...this.#items].values();
  }
}
