import assert from "node:assert/strict";
import {
  formatRefusal,
  formatReply,
  type NotServingReply,
  stateFor,
} from "../../../src/protocol/reply.ts";
import {
  type BackendVerdict,
  ERROR_TYPES,
  errorType,
  isAgentFailure,
  type Verdict,
} from "../../../src/protocol/verdict.ts";

const PLAIN = { notServingReply: "down", reason: false } as const;
const WITH_REASON = { notServingReply: "down", reason: true } as const;

const VERDICTS: readonly [BackendVerdict, string, string | undefined, string][] = [
  [{ kind: "serving" }, "up", undefined, "up"],
  [{ kind: "not_serving", status: "NOT_SERVING" }, "down", undefined, "down #NOT_SERVING"],
  [{ kind: "not_serving", status: "99" }, "down", undefined, "down #99"],
  [
    { kind: "unreachable", detail: "connect ECONNREFUSED 10.0.0.1:1" },
    "down",
    "backend_unreachable",
    "down #backend_unreachable: connect ECONNREFUSED 10.0.0.1:1",
  ],
  [{ kind: "dns", detail: "no such name" }, "down", "dns", "down #dns: no such name"],
  [{ kind: "tls", detail: "expired" }, "down", "tls", "down #tls: expired"],
  [{ kind: "timeout", detail: "late" }, "down", "timeout", "down #timeout: late"],
  [
    { kind: "rpc", code: "NOT_FOUND", detail: "unknown service" },
    "down",
    "rpc",
    "down #rpc: NOT_FOUND: unknown service",
  ],
  [{ kind: "denied" }, "down", "denied", "down #denied"],
];

for (const [verdict, reply, type, withReason] of VERDICTS) {
  Deno.test(`The verdict ${verdict.kind} is ${reply}, counted as ${type}, told as ${withReason}`, () => {
    const state = stateFor(verdict, "down");
    assert.equal(formatReply(state, verdict, "", PLAIN), `${reply}\n`);
    assert.equal(formatReply(state, verdict, "", WITH_REASON), `${withReason}\n`);
    assert.equal(errorType(verdict), type);
    if (type !== undefined) assert.ok((ERROR_TYPES as readonly string[]).includes(type));
  });
}

const SETTING_ROWS: readonly [NotServingReply, BackendVerdict, string][] = [
  ["drain", { kind: "serving" }, "up ready\n"],
  ["drain", { kind: "not_serving", status: "NOT_SERVING" }, "drain\n"],
  ["maint", { kind: "not_serving", status: "NOT_SERVING" }, "maint\n"],
  ["drain", { kind: "not_serving", status: "SERVICE_UNKNOWN" }, "down\n"],
  ["drain", { kind: "unreachable", detail: "" }, "down\n"],
  ["maint", { kind: "timeout", detail: "" }, "down\n"],
];

for (const [notServingReply, verdict, reply] of SETTING_ROWS) {
  Deno.test(`With not_serving_reply = ${notServingReply}, ${JSON.stringify(verdict)} is ${reply.trim()}`, () => {
    const options = { notServingReply, reason: false };
    assert.equal(formatReply(stateFor(verdict, notServingReply), verdict, "", options), reply);
  });
}

Deno.test("A reason is printable ASCII on one line of at most 100 bytes, whatever the backend says", () => {
  const detail = 'a\r\nready "x" \\ \u{1f600}\0 ' + "y".repeat(200);
  const reply = formatReply("down", { kind: "rpc", code: "UNKNOWN", detail }, "", WITH_REASON);
  assert.match(reply, /^down #[\x20-\x7e]+\n$/);
  assert.equal(reply.length, 101);
  assert.ok(reply.startsWith("down #rpc: UNKNOWN: a ready 'x' ' "), reply);
});

Deno.test("A line that is no request is refused with what is wrong with it, where reasons are wanted", () => {
  const mistake = "backend_port must be a number from 1 to 65535";
  assert.equal(formatRefusal(mistake, PLAIN), "down\n");
  assert.equal(formatRefusal(mistake, WITH_REASON), `down #parse_error: ${mistake}\n`);
});

Deno.test("What damping holds back stands before the reason", () => {
  const verdict: BackendVerdict = { kind: "timeout", detail: "late" };
  assert.equal(
    formatReply("up", verdict, "1 of 3 failures", WITH_REASON),
    "up #1 of 3 failures: timeout: late\n",
  );
  assert.equal(
    formatReply("down", { kind: "serving" }, "1 of 2 good checks", WITH_REASON),
    "down #1 of 2 good checks\n",
  );
});

Deno.test("Only a bug and a lack of the agent's own say nothing of the backend", () => {
  const failures: readonly Verdict[] = [
    { kind: "internal", error: new Error("a bug") },
    { kind: "local", detail: "EMFILE" },
  ];
  for (const verdict of failures) {
    assert.ok(isAgentFailure(verdict));
    assert.equal(errorType(verdict), verdict.kind);
  }
  for (const [verdict] of VERDICTS) assert.ok(!isAgentFailure(verdict), verdict.kind);
});
