import assert from "node:assert/strict";
import { status as grpcStatus } from "@grpc/grpc-js";
import { ErrorCode } from "../../../src/http2/frame.ts";
import { STATUS_CODES, statusName, statusOfHttp, statusOfReset } from "../../../src/grpc/status.ts";

Deno.test("The status codes are those of grpc-js", () => {
  assert.equal(STATUS_CODES.length, 17);
  STATUS_CODES.forEach((name, code) => assert.equal(grpcStatus[code], name));
});

Deno.test("statusName() names the codes, and gives the number of others", () => {
  assert.deepEqual([0, 16, 17, 999_999_999].map(statusName), [
    "OK",
    "UNAUTHENTICATED",
    "code 17",
    "code 999999999",
  ]);
});

Deno.test("statusOfHttp() never says OK", () => {
  for (let status = 100; status < 1000; status++) assert.notEqual(statusOfHttp(status), "OK");
});

/** PROTOCOL-HTTP2.md, "Errors". */
const RESETS: Readonly<Record<keyof typeof ErrorCode, string>> = {
  NO_ERROR: "INTERNAL",
  PROTOCOL_ERROR: "INTERNAL",
  INTERNAL_ERROR: "INTERNAL",
  FLOW_CONTROL_ERROR: "INTERNAL",
  SETTINGS_TIMEOUT: "INTERNAL",
  STREAM_CLOSED: "INTERNAL",
  FRAME_SIZE_ERROR: "INTERNAL",
  REFUSED_STREAM: "UNAVAILABLE",
  CANCEL: "CANCELLED",
  COMPRESSION_ERROR: "INTERNAL",
  CONNECT_ERROR: "INTERNAL",
  ENHANCE_YOUR_CALM: "RESOURCE_EXHAUSTED",
  INADEQUATE_SECURITY: "PERMISSION_DENIED",
  HTTP_1_1_REQUIRED: "INTERNAL",
};

for (const [name, code] of Object.entries(RESETS)) {
  Deno.test(`statusOfReset() takes ${name} for ${code}`, () => {
    assert.deepEqual(statusOfReset(ErrorCode[name as keyof typeof ErrorCode]), {
      code,
      detail: `The server reset the stream (${name})`,
    });
  });
}

Deno.test("statusOfReset() takes a code that HTTP/2 does not know for INTERNAL", () => {
  assert.deepEqual(statusOfReset(4711), {
    code: "INTERNAL",
    detail: "The server reset the stream (error 4711)",
  });
});
