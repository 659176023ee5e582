import { status as grpcStatus } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import {
  isDecided,
  readHealthAnswer,
  STATUS_CODES,
  statusName,
  statusOfHttp,
  statusOfReset,
} from "../../../src/grpc/response.ts";
import { ErrorCode } from "../../../src/http2/frame.ts";
import { concat, grpcMessage, healthResponse } from "../../lab/backends/http2/frames.ts";
import type { Field } from "../../lab/unit/session_script.ts";

/** What an answer has unlike a good one, which says SERVING. */
interface Change {
  readonly status?: number;
  readonly headers?: readonly Field[];
  readonly body?: Uint8Array;
  readonly truncated?: boolean;
  readonly trailers?: readonly Field[];
}

const GRPC: Field = ["content-type", "application/grpc"];
const OK: Field = ["grpc-status", "0"];
const SERVING = grpcMessage(healthResponse(1));
const EMPTY = new Uint8Array(0);

/** Reads a good answer but for the change. @returns the status, or the code and what there is to say */
function read(change: Change): string {
  const answer = readHealthAnswer({
    status: 200,
    headers: [GRPC],
    body: SERVING,
    truncated: false,
    trailers: [OK],
    ...change,
  });
  return answer.ok ? answer.status : `${answer.code}: ${answer.detail}`;
}

const bytes = (...values: number[]) => Uint8Array.from(values);
const typed = (type: string): Change => ({ headers: [["content-type", type]] });
const ended = (...trailers: Field[]): Change => ({ trailers });
const trailersOnly = (...headers: Field[]): Change => ({ headers, body: EMPTY, trailers: [] });

const ANSWERS: readonly [string, Change, string][] = [
  ["a good answer", {}, "SERVING"],
  ["UNKNOWN as no status", { body: grpcMessage(EMPTY) }, "UNKNOWN"],
  ["UNKNOWN", { body: grpcMessage(healthResponse(0)) }, "UNKNOWN"],
  ["NOT_SERVING", { body: grpcMessage(healthResponse(2)) }, "NOT_SERVING"],
  ["SERVICE_UNKNOWN", { body: grpcMessage(healthResponse(3)) }, "SERVICE_UNKNOWN"],
  ["a status without a name", { body: grpcMessage(healthResponse(999)) }, "999"],
  ["a message of 4 KiB", {
    body: grpcMessage(concat(healthResponse(1), bytes(0x12, 0xfb, 0x1f), new Uint8Array(4091))),
  }, "SERVING"],
  // Content types.
  ["application/grpc+proto", typed("application/grpc+proto"), "SERVING"],
  ["a content type with parameters", typed("application/grpc; charset=utf-8"), "SERVING"],
  ["a content type with a blank before its end", typed("application/grpc+proto \t;x"), "SERVING"],
  ["a content type in capitals", typed("APPLICATION/GRPC+Proto"), "SERVING"],
  [
    "application/grpc+json",
    typed("application/grpc+json"),
    "UNKNOWN: The answer is not gRPC: HTTP 200 (application/grpc+json)",
  ],
  [
    "application/grpc-web",
    typed("application/grpc-web"),
    "UNKNOWN: The answer is not gRPC: HTTP 200 (application/grpc-web)",
  ],
  [
    "text/html, whatever it has beside",
    typed("text/html"),
    "UNKNOWN: The answer is not gRPC: HTTP 200 (text/html)",
  ],
  ["no content type", { headers: [] }, "UNKNOWN: The answer is not gRPC: HTTP 200"],
  ["no content type, given up at its head", {
    headers: [],
    body: EMPTY,
    truncated: true,
    trailers: [],
  }, "UNKNOWN: The answer is not gRPC: HTTP 200"],
  ["no content type and a grpc-status, given up at its head", {
    headers: [OK],
    body: EMPTY,
    truncated: true,
    trailers: [],
  }, "UNKNOWN: The answer is not gRPC: HTTP 200"],
  [
    "two content types",
    { headers: [GRPC, GRPC] },
    "UNKNOWN: The answer is not gRPC: HTTP 200 (application/grpc, application/grpc)",
  ],
  [
    "an endless content type",
    typed("x".repeat(999)),
    `UNKNOWN: The answer is not gRPC: HTTP 200 (${"x".repeat(100)})`,
  ],
  // HTTP status.
  ...([
    [400, "INTERNAL"],
    [401, "UNAUTHENTICATED"],
    [403, "PERMISSION_DENIED"],
    [404, "UNIMPLEMENTED"],
    [429, "UNAVAILABLE"],
    [502, "UNAVAILABLE"],
    [503, "UNAVAILABLE"],
    [504, "UNAVAILABLE"],
    [204, "UNKNOWN"],
    [201, "UNKNOWN"],
    [302, "UNKNOWN"],
    [418, "UNKNOWN"],
    [500, "UNKNOWN"],
    [999, "UNKNOWN"],
  ] as const).map(([status, code]): [string, Change, string] => [
    `HTTP ${status} that is good in all else`,
    { status },
    `${code}: HTTP ${status} (application/grpc)`,
  ]),
  ["a page", {
    status: 502,
    headers: [["content-type", "text/html"]],
    body: bytes(60, 104),
    trailers: [],
  }, "UNAVAILABLE: HTTP 502 (text/html)"],
  [
    "an error without a type",
    { status: 503, headers: [], body: EMPTY, trailers: [] },
    "UNAVAILABLE: HTTP 503",
  ],
  // As nginx sends it where `error_page` leads to `add_header grpc-status 14; return 204;`.
  [
    "HTTP 204 with a gRPC status and a message",
    {
      status: 204,
      headers: [["grpc-status", "14"], ["grpc-message", "no%20server"]],
      trailers: [],
    },
    "UNAVAILABLE: HTTP 204: no server",
  ],
  [
    "HTTP 503 with a gRPC status alone",
    { status: 503, headers: [GRPC, ["grpc-status", "8"]], truncated: true, trailers: [] },
    "RESOURCE_EXHAUSTED: HTTP 503 (application/grpc)",
  ],
  [
    "HTTP 503 with a gRPC status that is none",
    { status: 503, trailers: [["grpc-status", "-1"]] },
    "UNAVAILABLE: HTTP 503 (application/grpc)",
  ],
  // grpc-status.
  ["no grpc-status", ended(), "UNKNOWN: The answer has no grpc-status"],
  ["two of it", ended(OK, OK), "UNKNOWN: The answer has grpc-status 2 times"],
  [
    "one of it in the headers and one in the trailers",
    { headers: [GRPC, OK] },
    "UNKNOWN: The answer has grpc-status 2 times",
  ],
  [
    "one of it in the headers of an answer with a body",
    { headers: [GRPC, OK], trailers: [] },
    "UNKNOWN: The grpc-status came before the message",
  ],
  [
    "one of it in the headers of an answer with trailers",
    { headers: [GRPC, OK], body: EMPTY, trailers: [["a", "b"]] },
    "UNKNOWN: The grpc-status came before the message",
  ],
  ...["", "good", "-0", "+0", "0x0", "0 ", " 0", "1e0", "0,0", "\u0660", "0000000000"].map((
    value,
  ): [string, Change, string] => [
    `a grpc-status of ${JSON.stringify(value)}`,
    ended(["grpc-status", value]),
    `UNKNOWN: The grpc-status is no number: ${JSON.stringify(value)}`,
  ]),
  ["a grpc-status of 00", ended(["grpc-status", "00"]), "SERVING"],
  ["every code", ended(["grpc-status", "14"], ["grpc-message", "later"]), "UNAVAILABLE: later"],
  ["a code that gRPC does not know", ended(["grpc-status", "99"]), "code 99: "],
  ["a code and a good message", ended(["grpc-status", "5"]), "NOT_FOUND: "],
  // Trailers only.
  [
    "trailers only",
    trailersOnly(GRPC, ["grpc-status", "12"], ["grpc-message", "no such"]),
    "UNIMPLEMENTED: no such",
  ],
  ["trailers only without a type", trailersOnly(["grpc-status", "12"]), "UNIMPLEMENTED: "],
  [
    "trailers only of another type",
    trailersOnly(["content-type", "text/html"], ["grpc-status", "12"]),
    "UNKNOWN: The answer is not gRPC: HTTP 200 (text/html)",
  ],
  ["trailers only with OK", trailersOnly(GRPC, OK), "INTERNAL: The answer is OK without a message"],
  ["trailers only with nothing", trailersOnly(GRPC), "UNKNOWN: The answer has no grpc-status"],
  // Messages.
  ["OK without a message", { body: EMPTY }, "INTERNAL: The answer is OK without a message"],
  ...[1, 2, 3, 4, 5, 6].map((length): [string, Change, string] => [
    `a message of which ${length} bytes have come`,
    { body: SERVING.slice(0, length) },
    "INTERNAL: The message breaks off",
  ]),
  [
    "a byte too many",
    { body: concat(SERVING, bytes(0)) },
    "INTERNAL: There is more than one message",
  ],
  ["two messages", { body: concat(SERVING, SERVING) }, "INTERNAL: There is more than one message"],
  [
    "a compressed message",
    { body: bytes(1, 0, 0, 0, 2, 8, 1) },
    "INTERNAL: The message is compressed",
  ],
  [
    "unknown flags",
    { body: bytes(2, 0, 0, 0, 2, 8, 1) },
    "INTERNAL: The message has the unknown flags 2",
  ],
  [
    "a message that is announced too long",
    { body: grpcMessage(healthResponse(1), 4097) },
    "RESOURCE_EXHAUSTED: The message has 4097 bytes; a health message has no more than 4096",
  ],
  [
    "a message of four gigabytes",
    { body: grpcMessage(healthResponse(1), 2 ** 32 - 1), truncated: true, trailers: [] },
    "RESOURCE_EXHAUSTED: The message has 4294967295 bytes; a health message has no more than 4096",
  ],
  [
    "more than one message, given up",
    { body: concat(SERVING, bytes(0)), truncated: true, trailers: [] },
    "RESOURCE_EXHAUSTED: There is more than one message",
  ],
  [
    "what is no HealthCheckResponse",
    { body: grpcMessage(bytes(8)) },
    "INTERNAL: The message is no HealthCheckResponse: it breaks off in a number",
  ],
];

for (const [what, change, expected] of ANSWERS) {
  Deno.test(`readHealthAnswer() makes ${expected.slice(0, 80)} of ${what}`, () => {
    assert.equal(read(change), expected);
  });
}

const MESSAGES: readonly [string, string][] = [
  ["plain words", "plain words"],
  ["50%25 of %E2%82%AC", "50% of \u20ac"],
  ["\xe2\x82\xac as it is", "\u20ac as it is"],
  ["100% %zz %4", "100% %zz %4"],
  ["%e2%82 cut", "\ufffd cut"],
  ["\xff", "\ufffd"],
  ["%00%0A", "\0\n"],
  ["blanks at its end  ", "blanks at its end  "],
  ["", ""],
];

for (const [raw, text] of MESSAGES) {
  Deno.test(`readHealthAnswer() decodes the grpc-message ${JSON.stringify(raw)}`, () => {
    const trailers: Field[] = [["grpc-status", "2"], ["grpc-message", raw]];
    assert.equal(read({ trailers }), `UNKNOWN: ${text}`);
  });
}

Deno.test("readHealthAnswer() takes the first of two grpc-messages", () => {
  const trailers: Field[] = [["grpc-status", "2"], ["grpc-message", "a"], ["grpc-message", "b"]];
  assert.equal(read({ trailers }), "UNKNOWN: a");
});

const DECISIONS: readonly [string, number, readonly Field[], Uint8Array, boolean][] = [
  ["the head of a good answer", 200, [GRPC], EMPTY, false],
  ["half a prefix", 200, [GRPC], SERVING.slice(0, 4), false],
  ["a prefix", 200, [GRPC], SERVING.slice(0, 5), false],
  ["a whole message", 200, [GRPC], SERVING, false],
  ["a byte beyond it", 200, [GRPC], concat(SERVING, bytes(0)), true],
  ["a message that will be too long", 200, [GRPC], grpcMessage(EMPTY, 4097), true],
  ["the longest message", 200, [GRPC], grpcMessage(EMPTY, 4096), false],
  ["no content type", 200, [], EMPTY, true],
  ["text/html", 200, [["content-type", "text/html"]], EMPTY, true],
  ["another status", 204, [GRPC], EMPTY, true],
];

for (const [what, status, headers, body, decided] of DECISIONS) {
  Deno.test(`isDecided() ${decided ? "gives up at" : "waits after"} ${what}`, () => {
    assert.equal(isDecided(status, headers, body), decided);
  });
}

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
