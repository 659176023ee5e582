import assert from "node:assert/strict";
import type { Checker } from "../../src/check/checker.ts";
import { Standings } from "../../src/check/standings.ts";
import { BackendHistory } from "../../src/observe/backend_history.ts";
import { setUpLogging } from "../../src/observe/log.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { Recorder } from "../../src/observe/recorder.ts";
import { Responder } from "../../src/server/responder.ts";

/** What comes of a valid line that is asked twice, and what an operator sees of it. */
async function answerTwice(checker: Pick<Checker, "hasTlsProfile" | "check">) {
  const lines: string[] = [];
  const logs = setUpLogging({
    level: "info",
    levels: new Map(),
    format: "json",
    colour: false,
    write: (line) => lines.push(line),
  });
  const metrics = new Metrics();
  const recorder = new Recorder(metrics, logs, new BackendHistory(() => 0), "none");
  const options = { fall: 1, rise: 1, notServingReply: "down", reason: false } as const;
  const responder = new Responder(options, checker as Checker, new Standings(() => 0), recorder);
  const peer = { host: "10.0.0.1", text: "10.0.0.1:1" };
  const { signal } = new AbortController();
  const ask = () => responder.answer("10.0.3.7 1 no-ssl api", peer, "0".repeat(32), signal);
  const replies = [await ask(), await ask()];
  const entries = lines.map((line) => JSON.parse(line));
  return { replies, entries, counts: await metrics.counts() };
}

const CHECKERS = {
  "that throws": {
    hasTlsProfile(): boolean {
      throw new TypeError("a bug");
    },
    check: () => Promise.reject(new Error("Not reached")),
  },
  "whose verdict is a bug": {
    hasTlsProfile: () => true,
    check: () => Promise.resolve({ kind: "internal", error: new TypeError("a bug") } as const),
  },
};

for (const [what, checker] of Object.entries(CHECKERS)) {
  Deno.test(`Responder answers down with a checker ${what}, counts and logs it each time`, async () => {
    const { replies, entries, counts } = await answerTwice(checker);
    assert.deepEqual(replies, ["down\n", "down\n"]);
    assert.equal(entries.length, 2);
    for (const entry of entries) {
      assert.equal(entry.level, "error");
      assert.equal(entry.error_type, "internal");
      assert.match(entry.error, /TypeError: a bug\n +at /);
    }
    assert.equal(counts.results.error, 2);
    assert.equal(counts.errors.internal, 2);
  });
}
