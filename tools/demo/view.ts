import type { ServerRow } from "../../tests/lab/haproxy.ts";

/** What the demo shows of a server. */
export type ServerView = Omit<ServerRow, "fields">;

/** Who judges the servers: HAProxy, or the demo in its place. */
export interface Judge extends AsyncDisposable {
  /** The servers as they stand now. */
  servers(): Promise<ServerView[]>;
}

/** The servers as lines of a table with a heading. */
export function serverTable(servers: ServerView[]): string[] {
  const rows = [
    ["server", "status", "agent_status", "last_agt", "since"],
    ...servers.map((row) => [
      row.server,
      row.status,
      row.agentStatus,
      row.lastAgent,
      `${row.lastChange} s`,
    ]),
  ];
  const widths =
    rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "))
    .map((line) => `  ${line.trimEnd()}`);
}
