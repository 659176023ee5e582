import assert from "node:assert/strict";
import type { HealthCheck } from "../../../src/check/health_client.ts";
import { NativeClient } from "../../../src/check/native_client.ts";
import { resetStream } from "../../lab/backends/http2/frames.ts";
import { healthAnswer, http2Peer } from "../../lab/backends/peers/http2_peer.ts";
import { at, PoolLab } from "../../lab/unit/pool_lab.ts";

const TIMEOUTS = { rpcTimeoutMs: 5000, connectTimeoutMs: 5000 };

/** A check of the server as a whole. */
function checkOf(port: number): HealthCheck {
  return {
    destinations: [at(port)],
    authority: "api",
    service: "",
    at: performance.now(),
    timeoutMs: 5000,
    askerTimeoutMs: 5000,
  };
}

Deno.test("NativeClient makes two calls at most to a backend that has used all attempts, until it serves", async () => {
  let requests = 0;
  let refusing = true;
  await using peer = http2Peer({
    answer: ({ send, streamId }) => {
      requests++;
      return send(refusing ? resetStream(streamId, 7) : healthAnswer(streamId));
    },
  });
  await using lab = new PoolLab();
  const client = new NativeClient(lab.pool, lab.deadlines, TIMEOUTS, new Map(), {
    onHedged() {},
  });
  const callsOfCheck = async () => {
    const before = requests;
    await client.check(checkOf(peer.port)).verdict;
    return requests - before;
  };
  assert.deepEqual([await callsOfCheck(), await callsOfCheck(), await callsOfCheck()], [4, 2, 2]);
  refusing = false;
  assert.equal(await callsOfCheck(), 1);
  refusing = true;
  assert.equal(await callsOfCheck(), 4);
});

Deno.test("NativeClient tells how far the connection of a destination is", async () => {
  await using peer = http2Peer({ answer: ({ send, streamId }) => send(healthAnswer(streamId)) });
  await using lab = new PoolLab();
  const client = new NativeClient(lab.pool, lab.deadlines, TIMEOUTS, new Map(), {
    onHedged() {},
  });
  assert.equal(client.stateOf(at(peer.port)), undefined);
  const verdict = await client.check(checkOf(peer.port)).verdict;
  assert.deepEqual(verdict, { kind: "serving" });
  assert.equal(client.stateOf(at(peer.port)), "ready");
});
