/**
 * Says what is wrong with a setting: its name, where it came from, the value, and what is accepted.
 *
 * @param source a flag, a variable, or a file with its line
 */
export function wrongValue(name: string, source: string, value: unknown, accepted: string): string {
  return `${name} (from ${source}): ${JSON.stringify(value)} is not ${accepted}`;
}

/**
 * Finds what somebody may have meant.
 *
 * @returns `` (did you mean X?)`` with its blank, or an empty text when nothing known is near
 */
export function suggest(typed: string, known: readonly string[], prefix = ""): string {
  const limit = Math.max(1, Math.floor(typed.length / 3));
  const [nearest] = known
    .map((name) => ({ name, distance: editDistance(typed, name) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return nearest === undefined ? "" : ` (did you mean ${prefix}${nearest.name}?)`;
}

/** Levenshtein's: insertions, deletions and replacements between two texts. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
