import type { ServerRow } from "../../tests/lab/haproxy/haproxy.ts";

/** What the demo shows of a server. */
export type ServerView = Omit<ServerRow, "fields">;

/** Who judges the servers: HAProxy, or the demo in its place. */
export interface Judge extends AsyncDisposable {
  /** The servers as they stand now. */
  servers(): Promise<ServerView[]>;
}

/** The servers as lines of a table with a heading. */
export function serverTable(servers: ServerView[]): string[] {
  return table(["server", "status", "agent_status", "last_agt", "since"], servers, (row) => [
    row.server,
    row.status,
    row.agentStatus,
    row.lastAgent,
    `${row.lastChange} s`,
  ]);
}

/** Lines of a table with a heading, its columns as wide as they need to be. */
export function table<T>(heading: string[], rows: T[], cells: (row: T) => string[]): string[] {
  const lines = [heading, ...rows.map(cells)];
  const widths = heading.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0))
  );
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "))
    .map((line) => `  ${line.trimEnd()}`);
}
