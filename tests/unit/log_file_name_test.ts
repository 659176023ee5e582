import assert from "node:assert/strict";
import { logFileAt, logFilesToDelete } from "../../src/observe/log_file_name.ts";

for (
  const [rotation, instant, expected] of [
    ["never", "2026-11-23T14:59:59.999Z", "/var/log/a/agent.log"],
    ["daily", "2026-11-23T23:59:59.999Z", "/var/log/a/agent.log.2026-11-23"],
    ["daily", "2026-11-24T00:00:00.000Z", "/var/log/a/agent.log.2026-11-24"],
    ["daily", "2026-11-24T00:30:00.000+01:00", "/var/log/a/agent.log.2026-11-23"],
    ["hourly", "2026-11-23T14:59:59.999Z", "/var/log/a/agent.log.2026-11-23-14"],
    ["hourly", "2026-11-23T15:00:00.000Z", "/var/log/a/agent.log.2026-11-23-15"],
    ["hourly", "2027-01-01T00:00:00.000Z", "/var/log/a/agent.log.2027-01-01-00"],
  ] as const
) {
  Deno.test(`The ${rotation} log file at ${instant} is ${expected}`, () => {
    assert.equal(logFileAt("/var/log/a/agent.log", rotation, Date.parse(instant)), expected);
  });
}

const DAYS = ["agent.log.2026-11-22", "agent.log.2026-11-21", "agent.log.2026-11-23"];

for (
  const { situation, names, current = "agent.log.2026-11-23", maxFiles, expected } of [
    { situation: "as many as may stay", names: DAYS, maxFiles: 3, expected: [] },
    {
      situation: "one too many",
      names: DAYS,
      maxFiles: 2,
      expected: ["agent.log.2026-11-21"],
    },
    {
      situation: "only the current one may stay",
      names: DAYS,
      maxFiles: 1,
      expected: ["agent.log.2026-11-21", "agent.log.2026-11-22"],
    },
    {
      situation: "the current one is not in the list yet",
      names: DAYS,
      current: "agent.log.2026-11-24",
      maxFiles: 2,
      expected: ["agent.log.2026-11-21", "agent.log.2026-11-22"],
    },
    {
      situation: "the clock was set back: the current one is the oldest",
      names: DAYS,
      current: "agent.log.2026-11-21",
      maxFiles: 1,
      expected: ["agent.log.2026-11-22", "agent.log.2026-11-23"],
    },
    {
      situation: "days from before the rotation became hourly",
      names: ["agent.log.2026-11-23-09", ...DAYS],
      current: "agent.log.2026-11-23-10",
      maxFiles: 2,
      expected: ["agent.log.2026-11-21", "agent.log.2026-11-22", "agent.log.2026-11-23"],
    },
    {
      situation: "files of others",
      names: [
        "agent.log",
        "agent.log.1",
        "agent.log.2026-11-01.gz",
        "agent.log.2026-11-01-1",
        "agent.log.old.2026-11-01",
        "other.log.2026-11-01",
        "agentxlog.2026-11-01",
      ],
      maxFiles: 1,
      expected: [],
    },
  ]
) {
  Deno.test(`Log files to delete, with ${situation}`, () => {
    assert.deepEqual(
      logFilesToDelete("/var/log/a/agent.log", names, `/var/log/a/${current}`, maxFiles),
      expected,
    );
  });
}
