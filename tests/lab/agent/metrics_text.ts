/** The samples of one scrape: name and labels as they stand in the text, to the value. */
export type Metrics = ReadonlyMap<string, number>;

/**
 * Reads Prometheus' text format 0.0.4.
 *
 * @example
 * ```ts
 * import { parseMetrics } from "./metrics_text.ts";
 *
 * parseMetrics('a_total{kind="b"} 3\n').get('a_total{kind="b"}'); // 3
 * ```
 *
 * @throws {Error} at a line that is neither a comment nor a sample
 */
export function parseMetrics(text: string): Metrics {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const cut = line.lastIndexOf(" ");
    const value = parseValue(line.slice(cut + 1));
    if (cut < 1 || value === undefined) throw new Error(`Not a metric: ${line}`);
    samples.set(line.slice(0, cut), value);
  }
  return samples;
}

function parseValue(text: string): number | undefined {
  if (text === "+Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  if (/^nan$/i.test(text)) return NaN;
  const value = Number(text);
  return text === "" || Number.isNaN(value) ? undefined : value;
}
