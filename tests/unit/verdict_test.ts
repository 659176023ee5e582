import assert from "node:assert/strict";
import { ERROR_TYPES, errorType, type Verdict } from "../../src/check/verdict.ts";
import { replyTo } from "../../src/protocol/reply.ts";

const VERDICTS: readonly [Verdict, string, string | undefined][] = [
  [{ kind: "serving" }, "up", undefined],
  [{ kind: "not_serving", status: "NOT_SERVING" }, "down", undefined],
  [{ kind: "not_serving", status: "99" }, "down", undefined],
  [{ kind: "unreachable", detail: "" }, "down", "backend_unreachable"],
  [{ kind: "dns", detail: "" }, "down", "dns"],
  [{ kind: "tls", detail: "" }, "down", "tls"],
  [{ kind: "timeout", detail: "" }, "down", "timeout"],
  [{ kind: "rpc", code: "NOT_FOUND", detail: "" }, "down", "rpc"],
  [{ kind: "internal", error: new Error("a bug") }, "down", "internal"],
];

for (const [verdict, reply, type] of VERDICTS) {
  Deno.test(`The verdict ${verdict.kind} is answered ${reply} and counted as ${type}`, () => {
    assert.equal(replyTo(verdict), reply);
    assert.equal(errorType(verdict), type);
    if (type !== undefined) assert.ok((ERROR_TYPES as readonly string[]).includes(type));
  });
}
