/** @returns what was thrown, in one line for people */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** @returns what was thrown, with the stack that leads to a bug */
export function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
