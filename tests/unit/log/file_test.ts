import assert from "node:assert/strict";
import {
  LogFile,
  logFileAt,
  type LogFileOptions,
  logFilesToDelete,
} from "../../../src/log/file.ts";
import type { Written } from "../../../src/log/output.ts";

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
      situation: "some from a clock that was ahead, which go before older ones",
      names: [...DAYS, "agent.log.2069-12-31", "agent.log.2069-12-30"],
      maxFiles: 4,
      expected: ["agent.log.2069-12-30"],
    },
    {
      situation: "the clock is behind: the newest of the later ones stay",
      names: DAYS,
      current: "agent.log.2020-01-01",
      maxFiles: 3,
      expected: ["agent.log.2026-11-21"],
    },
    {
      situation: "hours of today from before the rotation became daily",
      names: ["agent.log.2026-11-23-09", ...DAYS],
      maxFiles: 2,
      expected: ["agent.log.2026-11-21", "agent.log.2026-11-22"],
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

const START = Date.parse("2026-11-23T14:59:59Z");

/** A folder of its own, a clock, and a log file in them. */
async function withLogFile(
  options: Partial<LogFileOptions>,
  test: (given: Given) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const clock = { now: START, elapsed: 0 };
  const undeleted: unknown[] = [];
  try {
    using file = new LogFile(
      {
        path: `${folder}/agent.log`,
        rotation: "never",
        maxFiles: undefined,
        now: () => clock.now,
        elapsed: () => clock.elapsed,
        ...options,
      },
      { onUndeleted: (error) => undeleted.push(error) },
    );
    const write = (line: string) => file.write(new TextEncoder().encode(line));
    await test({ folder, clock, file, write, undeleted });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Given {
  folder: string;
  clock: { now: number; elapsed: number };
  file: LogFile;
  write: (line: string) => Promise<Written>;
  undeleted: unknown[];
}

async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
  const texts = names.map(async (name) => [name, await Deno.readTextFile(`${folder}/${name}`)]);
  return Object.fromEntries(await Promise.all(texts));
}

Deno.test("A log file is appended to", async () => {
  await withLogFile({}, async ({ folder, write }) => {
    await Deno.writeTextFile(`${folder}/agent.log`, "before\n");
    assert.deepEqual(await write("a\n"), { ok: true });
    assert.deepEqual(await write("b\n"), { ok: true });
    assert.deepEqual(await contents(folder), { "agent.log": "before\na\nb\n" });
  });
});

Deno.test("A log file that was copied and emptied (logrotate's copytruncate) goes on at its start", async () => {
  await withLogFile({}, async ({ folder, write }) => {
    await write("1\n");
    await Deno.truncate(`${folder}/agent.log`);
    await write("2\n");
    assert.deepEqual(await contents(folder), { "agent.log": "2\n" });
  });
});

Deno.test("A line that broke off before the start is ended first", async () => {
  await withLogFile({}, async ({ folder, write }) => {
    await Deno.writeTextFile(`${folder}/agent.log`, '{"level":"in');
    await write("a\n");
    assert.deepEqual(await contents(folder), { "agent.log": '{"level":"in\na\n' });
  });
});

Deno.test("With rotation a new file begins when its hour has come, and the oldest go", async () => {
  await withLogFile({ rotation: "hourly", maxFiles: 2 }, async ({ folder, clock, write }) => {
    await Deno.writeTextFile(`${folder}/agent.log.2026-11-20`, "old\n");
    await Deno.writeTextFile(`${folder}/agent.log.2026-11-23-13`, "1\n");
    await Deno.writeTextFile(`${folder}/other.2026-11-20`, "");
    await write("2\n");
    assert.deepEqual(await contents(folder), {
      "agent.log.2026-11-23-13": "1\n",
      "agent.log.2026-11-23-14": "2\n",
      "other.2026-11-20": "",
    });
    clock.now += 1000;
    await write("3\n");
    await write("4\n");
    assert.deepEqual(await contents(folder), {
      "agent.log.2026-11-23-14": "2\n",
      "agent.log.2026-11-23-15": "3\n4\n",
      "other.2026-11-20": "",
    });
  });
});

for (
  const { situation, happen } of [
    {
      situation: "was moved away",
      happen: (path: string) => Deno.rename(path, `${path}.1`),
    },
    { situation: "was deleted", happen: (path: string) => Deno.remove(path) },
  ]
) {
  Deno.test(`A log file that ${situation} begins anew within a second`, async () => {
    await withLogFile({}, async ({ folder, clock, write }) => {
      const path = `${folder}/agent.log`;
      await write("1\n");
      await happen(path);
      await write("2\n");
      clock.elapsed += 1000;
      await write("3\n");
      assert.equal(await Deno.readTextFile(path), "3\n");
    });
  });
}

Deno.test("A log file that was moved away begins anew at once when it is asked to look", async () => {
  await withLogFile({}, async ({ folder, file, write }) => {
    await write("1\n");
    await Deno.rename(`${folder}/agent.log`, `${folder}/agent.log.1`);
    file.look();
    await write("2\n");
    assert.deepEqual(await contents(folder), { "agent.log": "2\n", "agent.log.1": "1\n" });
  });
});

Deno.test("A clock that was set back does not keep a log file from being looked at", async () => {
  await withLogFile({}, async ({ folder, clock, write }) => {
    await write("1\n");
    await Deno.remove(`${folder}/agent.log`);
    clock.now -= 3_600_000;
    clock.elapsed += 1000;
    await write("2\n");
    assert.deepEqual(await contents(folder), { "agent.log": "2\n" });
  });
});

Deno.test("A log file fails while its folder is missing, and works again once the folder is back", async () => {
  await withLogFile({}, async ({ folder, clock, file, write }) => {
    await write("1\n");
    await Deno.remove(folder, { recursive: true });
    clock.elapsed += 1000;
    const { ok, ...rest } = await write("2\n");
    assert.equal(ok, false);
    assert.ok("error" in rest && rest.error instanceof Deno.errors.NotFound);
    assert.equal(rest.written, 0);
    await assert.rejects(file.open(), Deno.errors.NotFound);
    await Deno.mkdir(folder);
    assert.deepEqual(await write("3\n"), { ok: true });
    assert.deepEqual(await contents(folder), { "agent.log": "3\n" });
  });
});

Deno.test("A log file that is a named pipe is refused and not waited for", async () => {
  await withLogFile({}, async ({ folder, file }) => {
    await new Deno.Command("mkfifo", { args: [`${folder}/agent.log`] }).output();
    await assert.rejects(file.open(), /not a regular file/);
  });
});
