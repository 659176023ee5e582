/**
 * Says what is wrong with a setting: its name, where it came from, the value, and what is accepted.
 *
 * @param source a flag, a variable, or a file with its line
 */
export function wrongValue(name: string, source: string, value: unknown, accepted: string): string {
  return `${name} (from ${source}): ${JSON.stringify(value)} is not ${accepted}`;
}
