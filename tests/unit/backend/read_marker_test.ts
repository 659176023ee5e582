// That what has arrived is read first is held by tests/unit/deadline_test.ts, through deadlines.

import assert from "node:assert/strict";
import { ReadMarker } from "../../../src/backend/read_marker.ts";

Deno.test("ReadMarker tells each of those that ask at once", async () => {
  const marker = new ReadMarker();
  await marker.opened;
  await Promise.all(Array.from({ length: 20 }, (_, sockets) => marker.caughtUp(sockets * 100)));
  await marker.caughtUp(1);
  await marker.close();
});

Deno.test("ReadMarker also tells before it is open and after it is closed, once others could be read", async () => {
  const marker = new ReadMarker();
  for (const what of ["before", "after"]) {
    const begun = performance.now();
    await marker.caughtUp(1000);
    assert.ok(performance.now() - begun >= 19, what);
    await marker.close();
  }
});

Deno.test("ReadMarker ends the wait of all when it is closed", async () => {
  const marker = new ReadMarker();
  await marker.opened;
  const waiting = marker.caughtUp(10_000);
  await marker.close();
  await waiting;
});
