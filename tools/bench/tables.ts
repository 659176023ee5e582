import type { GrpcFloor } from "./grpc_floor.ts";
import type { Comparison } from "./rounds.ts";
import type { Steady } from "./steady.ts";

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

export function comparisonTable({ rows }: Comparison): string {
  return table(
    [
      ...["connections", "at once", "answered by", "checks/s", "p50 ms", "p99 ms"],
      ...["CPU µs per check", "of the floor", "generator cores"],
    ],
    rows.map((row) => [
      row.connections,
      String(row.atOnce),
      row.subject,
      row.checksPerSecond.toFixed(0),
      row.p50.toFixed(2),
      row.p99.toFixed(2),
      `${row.cpuUs.toFixed(0)} (${row.cpuUsRange.map((us) => us.toFixed(0)).join("-")})`,
      `${row.overFloor.toFixed(2)}x`,
      row.generatorCores.toFixed(2),
    ]),
  );
}

export function memoryAfterTable({ memory }: Comparison): string {
  return table(
    ["after all of it", "VmRSS MB", "peak", "anonymous", "files"],
    Object.entries(memory).map(([subject, { resident, peak, anonymous, file }]) => [
      subject,
      ...[resident, peak, anonymous, file].map((value) => value.toFixed(0)),
    ]),
  );
}

export function grpcFloorTable(floors: readonly GrpcFloor[]): string {
  return table(
    ["grpc-js alone, RPCs at once", "checks/s", "CPU µs per check"],
    floors.map(({ atOnce, checksPerSecond, cpuUs }) => [
      String(atOnce),
      checksPerSecond.toFixed(0),
      cpuUs.toFixed(0),
    ]),
  );
}

export function steadyTable(results: readonly Steady[]): string {
  return table(
    [
      "backends",
      "after s",
      "VmRSS MB",
      "peak",
      "anonymous",
      "files",
      "idle before",
      "CPU µs per check",
    ],
    results.flatMap(({ backends, idle, samples, cpuUs }) =>
      samples.map((sample, index) => [
        String(backends),
        String(sample.second),
        ...[sample.resident, sample.peak, sample.anonymous, sample.file, idle.resident]
          .map((value) => value.toFixed(0)),
        index === samples.length - 1 ? cpuUs.toFixed(0) : "",
      ])
    ),
  );
}
