/**
 * Does a piece of work for each item, a few at the same time: what waits for a deadline does no work.
 *
 * @param atOnce how many at the same time
 * @throws {unknown} what a piece of work throws, after those that had begun
 */
export async function sideBySide<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await work(item);
  };
  const done = await Promise.allSettled(Array.from({ length: atOnce }, worker));
  for (const result of done) if (result.status === "rejected") throw result.reason;
}
