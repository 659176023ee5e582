import type { Comparison } from "./compare.ts";

/** All figures, a line for each subject of each row, and what is missing. In Markdown. */
export function comparisonTable({ figures, failures }: Comparison): string {
  const head = [
    ...["`--only`", "answered by", "checks/s", "p50 ms", "p99 ms", "CPU µs per check"],
    ...["x floor", "VmRSS MB", "peak", "generator cores"],
  ];
  const rows = figures.map((line) => [
    `${line.row}/${line.subject}`,
    line.title,
    line.checksPerSecond.toFixed(0),
    line.p50.toFixed(2),
    line.p99.toFixed(2),
    `${line.cpuUs.toFixed(0)} (${line.cpuUsRange.map((us) => us.toFixed(0)).join("-")})`,
    line.overFloor.toFixed(2),
    line.memory.resident.toFixed(0),
    line.memory.peak.toFixed(0),
    line.generatorCores.toFixed(2),
  ]);
  const missing = failures.map(({ row, subject, reason }) =>
    `- \`${row}/${subject}\` is missing: ${reason}`
  );
  return [table(head, rows), ...missing.length === 0 ? [] : [missing.join("\n")]].join("\n\n");
}

/** A table in Markdown, which is as good on a terminal. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, column) =>
    Math.max(3, cell.length, ...rows.map((row) => row[column]?.length ?? 0))
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}
