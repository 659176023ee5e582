import assert from "node:assert/strict";
import { formatReport } from "./report.ts";
import { runSoak } from "./run.ts";

/** HAProxy's patience, 2 s by default, less the agent's own time limit: whatever else this machine does. */
const GRACE_MS = 200;

Deno.test("for half a minute no answer is wrong, late or missing, whatever happens to fifty backends", async () => {
  const result = await runSoak({
    minutes: 0.5,
    seed: crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
    graceMs: GRACE_MS,
    onProgress: console.log,
    signal: new AbortController().signal,
  });
  assert.deepEqual(result.problems, [], formatReport(result));
  if (Deno.env.has("CI")) assert.deepEqual(result.missing, []);
});
