/** Lets the event loop turn once: what has arrived by then is mostly read. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
