/** What became of some lines. */
export type Written =
  | { readonly ok: true }
  | {
    readonly ok: false;
    /** Bytes of whole lines that are out: the next line begins there. */
    readonly written: number;
    readonly error: unknown;
  };

/** A place that takes the lines of the log. */
export interface LogDestination {
  /**
   * Writes lines. Not to be called again before it has settled; never rejects.
   *
   * @param lines whole lines, each with its newline
   */
  write(lines: Uint8Array): Promise<Written>;
}
