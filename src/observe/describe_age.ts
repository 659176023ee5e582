/** Units with their length in seconds, and up to how many of them they are told. */
const UNITS = [["s", 1, 120], ["min", 60, 120], ["h", 3600, 48], [
  "days",
  86_400,
  Infinity,
]] as const;

/**
 * @param from ISO 8601
 * @param to ISO 8601, not before `from` (else it counts as the same time)
 * @returns the time between, as one would say it: `90 s`, `17 min`, `3 h`, `12 days`
 */
export function describeAge(from: string, to: string): string {
  const seconds = Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
  const [unit, length] = UNITS.find(([, length, limit]) => seconds / length < limit) ?? UNITS[3];
  return `${Math.floor(seconds / length)} ${unit}`;
}
