// Answers that are no good answer of a health service: each is `down` at once, and the reason says what was
// wrong with it.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import {
  concat,
  data,
  type Fields,
  frame,
  FrameFlag,
  FrameType,
  grpcMessage,
  headerBlock,
  headers,
  healthResponse,
  ping,
  settings,
  windowUpdate,
} from "../../lab/backends/http2/frames.ts";
import { healthAnswer, responseHeaders, trailers } from "../../lab/backends/peers/http2_peer.ts";
import { type ScriptedCall, ScriptedServer } from "../../lab/backends/peers/scripted_server.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";
import { sideBySide } from "../../lab/testing/side_by_side.ts";

/** A wrong answer; `name` is read after "a backend that". */
interface WrongAnswer {
  readonly name: string;
  readonly answer: (streamId: number) => Uint8Array;
  /** What the reason must name. */
  readonly says: RegExp;
}

/** Reasons that tell nobody what to look for. */
const TELLS_NOTHING = /call cancelled|message larger than max|undefined|\[object|internal error/i;

/** Long before the deadline: whoever sees what is wrong does not wait for more. */
const AT_ONCE_MS = 1400;

const PAGE = new TextEncoder().encode("<!DOCTYPE html><title>Not here</title><p>Nothing to see.");
const SERVING = healthResponse(1);
const ascii = (text: string) => new TextEncoder().encode(text);

function page(status: number, contentType: string, body = PAGE): WrongAnswer {
  return {
    name: `answers ${status} with ${body.length} bytes of ${contentType}`,
    answer: (id) =>
      concat(
        headers(id, { ":status": `${status}`, "content-type": contentType }),
        ...Array.from(
          { length: Math.ceil(body.length / 16_000) },
          (_, index) => data(id, body.slice(index * 16_000, (index + 1) * 16_000)),
        ),
        data(id, new Uint8Array(), { endStream: true }),
      ),
    says: new RegExp(`HTTP ${status} \\(${contentType}\\)`),
  };
}

const PAGES: readonly WrongAnswer[] = [
  page(502, "text/html"),
  page(503, "text/plain", ascii("no healthy upstream")),
  page(403, "application/json", ascii('{"error":"forbidden"}')),
  page(404, "text/html"),
  page(429, "text/plain", ascii("slow down")),
  page(500, "text/html", new Uint8Array(50_000).fill(0x20)),
  page(401, "application/grpc"),
  {
    name: "answers 503 without a content-type and without a page",
    answer: (id) => headers(id, { ":status": "503" }, { endStream: true }),
    says: /HTTP 503/,
  },
  {
    name: "answers 200 with a page",
    answer: (id) =>
      concat(
        headers(id, { ":status": "200", "content-type": "text/html" }),
        data(id, PAGE, { endStream: true }),
      ),
    says: /text\/html/,
  },
];

/** A good answer but for its first header fields. */
function withFields(name: string, fields: Fields, says: RegExp): WrongAnswer {
  return {
    name,
    answer: (id) => concat(headers(id, fields), data(id, grpcMessage(SERVING)), trailers(id)),
    says,
  };
}

const STATUS = [":status", "200"] as const;
const TYPE = ["content-type", "application/grpc"] as const;

const FIELDS: readonly WrongAnswer[] = [
  withFields("sends no :status", [TYPE], /:status/),
  withFields("sends :status twice", [STATUS, STATUS, TYPE], /:status/),
  withFields("sends :status after other fields", [TYPE, STATUS], /:status|pseudo/),
  withFields("sends a :status of two digits", [[":status", "20"], TYPE], /:status|HTTP/),
  withFields("sends a pseudo-header of requests", [STATUS, [":path", "/"], TYPE], /:path|pseudo/),
  withFields("sends an unknown pseudo-header", [STATUS, [":odd", "1"], TYPE], /:odd|pseudo/),
  withFields("sends a name in upper case", [STATUS, TYPE, ["X-Upper", "1"]], /X-Upper|upper/i),
  withFields("sends a name with a blank", [STATUS, TYPE, ["x y", "1"]], /name|field|header/i),
  withFields("sends an empty name", [STATUS, TYPE, ["", "1"]], /name|field|header/i),
  ...([["NUL", "\0"], ["CR", "\r"], ["LF", "\n"]] as const).map(([what, character]) =>
    withFields(
      `sends a value with ${what} in it`,
      [STATUS, TYPE, ["x-value", `a${character}b`]],
      /x-value|value|field|header/i,
    )
  ),
  ...[
    ["connection", "close"],
    ["transfer-encoding", "chunked"],
    ["keep-alive", "timeout=5"],
    ["upgrade", "h2c"],
    ["proxy-connection", "keep-alive"],
  ].map(([field = "", value = ""]) =>
    withFields(`sends ${field}`, [STATUS, TYPE, [field, value]], new RegExp(field))
  ),
  ...["text/plain", "application/json", "application/grpc-web", "application/grpcx"].map((type) =>
    withFields(
      `calls a good answer ${type}`,
      { ":status": "200", "content-type": type },
      new RegExp(`content-type.*${type}|${type}`, "i"),
    )
  ),
  withFields("calls a good answer nothing", [STATUS], /content-type|not gRPC/i),
  {
    name: "sends a pseudo-header in its trailers",
    answer: (id) =>
      concat(
        responseHeaders(id),
        data(id, grpcMessage(SERVING)),
        headers(id, { ":status": "200", "grpc-status": "0" }, { endStream: true }),
      ),
    says: /:status|pseudo|trailer/i,
  },
  ...([
    ["an index of 0", [0x80]],
    ["an index that the table does not have", [0x88, 0xff, 0x80, 0x01]],
    ["a string that is longer than the block", [0x88, 0x00, 0x05, 0x61]],
    ["an integer without end", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ["a Huffman code with a whole byte of padding", [0x88, 0x00, 0x01, 0x61, 0x82, 0xff, 0xff]],
    ["a table size beyond what was allowed", [0x3f, 0xff, 0xff, 0x03, 0x88]],
  ] as const).map(([what, block]): WrongAnswer => ({
    name: `sends a header block with ${what}`,
    answer: (id) => frame(FrameType.HEADERS, FrameFlag.END_HEADERS, id, Uint8Array.from(block)),
    says: /HPACK|header|compress/i,
  })),
];

/** A good answer but for its message. */
function withMessages(name: string, bytes: Uint8Array, says: RegExp): WrongAnswer {
  return {
    name,
    answer: (id) => concat(responseHeaders(id), data(id, bytes), trailers(id)),
    says,
  };
}

/** A message that says SERVING to whoever reads it carelessly. */
function notProtobuf(what: string, bytes: readonly number[]): WrongAnswer {
  return withMessages(
    `sends a message with ${what}`,
    grpcMessage(Uint8Array.from(bytes)),
    /message|protobuf|response|field|varint|wire/i,
  );
}

const flagged = (flag: number) => concat(Uint8Array.of(flag), grpcMessage(SERVING).subarray(1));

const MESSAGES: readonly WrongAnswer[] = [
  withMessages("sends two messages", concat(grpcMessage(SERVING), grpcMessage(SERVING)), /message/),
  withMessages(
    "sends a byte after its message",
    concat(grpcMessage(SERVING), Uint8Array.of(0)),
    /./,
  ),
  withMessages("sends four bytes of a message", grpcMessage(SERVING).subarray(0, 4), /message/i),
  withMessages("sends less of a message than it says", grpcMessage(SERVING, 3), /message/i),
  withMessages("sends a compressed message", flagged(1), /compress/i),
  withMessages("sends a message with an unknown flag", flagged(2), /compress|flag/i),
  withMessages("sends a message of 5000 bytes", grpcMessage(new Uint8Array(5000)), /message|5000/i),
  withMessages("says that 2 GB follow", grpcMessage(SERVING, 2 ** 31), /message|2147483648|bytes/i),
  {
    name: "says OK without a message",
    answer: (id) => concat(responseHeaders(id), trailers(id)),
    says: /message/i,
  },
  {
    name: "says OK without a message, in trailers only",
    answer: (id) =>
      headers(id, [STATUS, TYPE, ["grpc-status", "0"]] as Fields, { endStream: true }),
    says: /message/i,
  },
  notProtobuf("a number that breaks off", [0x08, 0xff, 0xff]),
  notProtobuf("field number 0", [0x08, 0x01, 0x00, 0x01]),
  notProtobuf("wire type 6", [0x08, 0x01, 0x16]),
  notProtobuf("wire type 7", [0x08, 0x01, 0x0f]),
  notProtobuf("the end of a group that did not begin", [0x08, 0x01, 0x14]),
  notProtobuf("a field longer than the message", [0x08, 0x01, 0x12, 0x05, 0x00]),
  notProtobuf("a fixed field that breaks off", [0x08, 0x01, 0x15, 0x00]),
  notProtobuf("a number of eleven bytes", [0x08, 0x01, 0x10, ...Array(10).fill(0x80), 0x00]),
  notProtobuf("a tag without a value", [0x08, 0x01, 0x10]),
];

/** A good answer but for its trailers. */
function withTrailers(name: string, fields: Fields, says: RegExp): WrongAnswer {
  return {
    name,
    answer: (id) =>
      concat(
        responseHeaders(id),
        data(id, grpcMessage(SERVING)),
        headers(id, fields, { endStream: true }),
      ),
    says,
  };
}

const TRAILERS: readonly WrongAnswer[] = [
  withTrailers("sends no grpc-status", { "grpc-message": "" }, /grpc-status/),
  withTrailers(
    "sends grpc-status twice",
    [["grpc-status", "0"], ["grpc-status", "0"]],
    /grpc-status/,
  ),
  ...["", "good", "0x0", "+0", "-0", "0.0", "0e0", " 0", "0 ", "0,0", "\u0660", "NaN"].map((
    value,
  ) => withTrailers(`says grpc-status "${value}"`, { "grpc-status": value }, /grpc-status/)),
  withTrailers("says grpc-status 999", { "grpc-status": "999" }, /999|UNKNOWN/),
  {
    name: "ends the stream with its message",
    answer: (id) =>
      concat(responseHeaders(id), data(id, grpcMessage(SERVING), { endStream: true })),
    says: /grpc-status|trailer/i,
  },
  {
    name: "goes on after its trailers without their end",
    answer: (id) =>
      concat(
        responseHeaders(id),
        data(id, grpcMessage(SERVING)),
        headers(id, { "grpc-status": "0" }),
        data(id, new Uint8Array(), { endStream: true }),
      ),
    says: /trailer|header|stream/i,
  },
  {
    name: "resets the stream with PROTOCOL_ERROR in place of trailers",
    answer: (id) =>
      concat(
        responseHeaders(id),
        data(id, grpcMessage(SERVING)),
        frame(FrameType.RST_STREAM, 0, id, Uint8Array.of(0, 0, 0, 1)),
      ),
    says: /RST_STREAM|reset|PROTOCOL_ERROR/i,
  },
];

/** Breaks the rules of HTTP/2, then answers well: who goes on after the mistake says `up`. */
function thenServing(name: string, mistake: (id: number) => Uint8Array, says: RegExp): WrongAnswer {
  return { name, answer: (id) => concat(mistake(id), healthAnswer(id)), says };
}

const FRAMES: readonly WrongAnswer[] = [
  thenServing("sends DATA before HEADERS", (id) => data(id, grpcMessage(SERVING)), /DATA/),
  thenServing(
    "sends a frame longer than allowed",
    (id) => frame(0xfa, 0, id, new Uint8Array(16_385)),
    /frame|FRAME_SIZE/i,
  ),
  {
    name: "sends DATA longer than allowed",
    answer: (id) => concat(responseHeaders(id), data(id, new Uint8Array(16_385))),
    says: /frame|FRAME_SIZE|message/i,
  },
  thenServing("sends DATA on stream 0", () => data(0, Uint8Array.of(0)), /DATA|stream/i),
  thenServing("answers on a stream that nobody opened", () => healthAnswer(1001), /stream/i),
  thenServing("answers on an even stream", () => healthAnswer(2), /stream/i),
  thenServing(
    "pushes",
    (id) =>
      frame(
        FrameType.PUSH_PROMISE,
        FrameFlag.END_HEADERS,
        id,
        concat(Uint8Array.of(0, 0, 0, 2), headerBlock({ ":method": "GET", ":path": "/" })),
      ),
    /PUSH|stream|frame/i,
  ),
  thenServing(
    "sends SETTINGS of 5 bytes",
    () => frame(FrameType.SETTINGS, 0, 0, new Uint8Array(5)),
    /SETTINGS|frame/i,
  ),
  thenServing(
    "sends SETTINGS on a stream",
    (id) => frame(FrameType.SETTINGS, 0, id),
    /SETTINGS|stream/i,
  ),
  thenServing("allows frames of 100 bytes", () => settings({ MAX_FRAME_SIZE: 100 }), /SETT|FRAME/i),
  thenServing(
    "allows windows of 2^31 bytes",
    () => settings({ INITIAL_WINDOW_SIZE: 2 ** 31 }),
    /SETTINGS|WINDOW/i,
  ),
  thenServing("sends a PING of 7 bytes", () => ping(new Uint8Array(7)), /PING|frame/i),
  thenServing("makes a window larger by 0", () => windowUpdate(0, 0), /WINDOW/i),
  thenServing("makes a window larger than may be", () => windowUpdate(0, 2 ** 31 - 1), /WINDOW/i),
  thenServing(
    "sends CONTINUATION without HEADERS",
    (id) => frame(FrameType.CONTINUATION, FrameFlag.END_HEADERS, id, headerBlock([STATUS])),
    /CONTINUATION|header/i,
  ),
  thenServing(
    "sends another frame inside of a header block",
    (id) => concat(frame(FrameType.HEADERS, 0, id, headerBlock([STATUS, TYPE])), ping()),
    /CONTINUATION|header|PING/i,
  ),
  thenServing(
    "sends more padding than there is frame",
    (id) => frame(FrameType.DATA, FrameFlag.PADDED, id, Uint8Array.of(9, 0, 0)),
    /padding|DATA|frame/i,
  ),
  thenServing(
    "sends a GOAWAY of 4 bytes",
    () => frame(FrameType.GOAWAY, 0, 0, new Uint8Array(4)),
    /./,
  ),
  thenServing(
    "resets a stream that nobody opened",
    () => frame(FrameType.RST_STREAM, 0, 1001, Uint8Array.of(0, 0, 0, 8)),
    /RST_STREAM|stream/i,
  ),
];

async function assertDown(
  answers: readonly WrongAnswer[],
  flags: readonly string[],
  start: (answer: (call: ScriptedCall) => Promise<void>) => Promise<ScriptedServer>,
): Promise<void> {
  const wrong: string[] = [];
  await withAgent({ flags: ["--reply-reason", "true", ...flags] }, async (agent) => {
    await sideBySide(answers, 8, async ({ name, answer, says }) => {
      await using server = await start((call) => call.send(answer(call.streamId)));
      const { reply, ms } = await agent.askTimed(server.line());
      const [, reason = ""] = /^down #(?:rpc|backend_unreachable): (.*)\n$/.exec(reply) ?? [];
      if (!says.test(reason) || TELLS_NOTHING.test(reason) || ms > AT_ONCE_MS) {
        wrong.push(`a backend that ${name}: ${reply.trimEnd()} (${Math.round(ms)} ms)`);
      }
    });
  });
  assert.deepEqual(wrong, []);
}

for (
  const [name, answers] of [
    ["a page in place of an answer is told by its HTTP status and its type", PAGES],
    ["an answer whose header fields are wrong is down, and the reason names them", FIELDS],
    ["a message that is no health response is down, and the reason says so", MESSAGES],
    ["an answer whose trailers are wrong is down, and the reason names them", TRAILERS],
    ["a good answer after a mistake in HTTP/2 is down, and the reason names the mistake", FRAMES],
  ] as const
) {
  testPlainAndTls(name, async ({ flags, server }) => {
    await assertDown(answers, flags, (answer) => ScriptedServer.start({ ...server, answer }));
  });
}
