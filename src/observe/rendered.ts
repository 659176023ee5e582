/** What is costly to make is made no more often than this, in milliseconds, however often it is asked for. */
const KEPT_MS = 1000;

/** Something that is costly to make, kept for a moment. */
export class Rendered {
  readonly #render: () => Promise<string>;
  #bytes: Promise<Uint8Array> | undefined;
  #at = -Infinity;

  /** @param render makes it anew */
  constructor(render: () => Promise<string>) {
    this.#render = render;
  }

  /** @returns it, a second old at most */
  get(): Promise<Uint8Array> {
    const now = performance.now();
    if (this.#bytes === undefined || now - this.#at >= KEPT_MS) {
      this.#at = now;
      this.#bytes = this.#render().then((text) => new TextEncoder().encode(text));
    }
    return this.#bytes;
  }
}
