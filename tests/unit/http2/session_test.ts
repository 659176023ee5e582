import assert from "node:assert/strict";
import { Setting } from "../../../src/http2/frame.ts";
import type { StreamEnd } from "../../../src/http2/stream.ts";
import {
  concat,
  data,
  frame,
  goaway,
  resetStream,
  settings,
  windowUpdate,
} from "../../lab/backends/http2/frames.ts";
import { HpackEncoder } from "../../lab/backends/http2/hpack_encoder.ts";
import { everyCut } from "../../lab/unit/every_cut.ts";
import {
  block,
  describeFrame,
  type Field,
  fieldsFrame,
  ScriptedSession,
  settingsOf,
} from "../../lab/unit/session_script.ts";

const OK_HEAD: readonly Field[] = [[":status", "200"], ["content-type", "application/grpc"]];
const OK_TRAILERS: readonly Field[] = [["grpc-status", "0"]];
const MESSAGE = Uint8Array.of(0, 0, 0, 0, 2, 8, 1);

const head = (id: number, fields = OK_HEAD) => fieldsFrame(id, fields);
const tail = (id: number, fields = OK_TRAILERS) => fieldsFrame(id, fields, { endStream: true });
const answer = (id: number) => concat(head(id), data(id, MESSAGE), tail(id));
const ping = (...payload: number[]) => frame(6, 0, 0, Uint8Array.from(payload));

const GOOD = "200, content-type=application/grpc, [0 0 0 0 2 8 1], grpc-status=0";
const PREFACE_SENT = ["SETTINGS", "HEADERS 1", "DATA 1 7 end"];

Deno.test("Session sends preface, SETTINGS and the request at once, and nothing else", () => {
  const script = new ScriptedSession();
  script.open();
  const [first, ...rest] = script.sentFrames();
  assert.deepEqual(first?.payload, Uint8Array.of(0, 2, 0, 0, 0, 0, 0, 6, 0, 0, 0x40, 0));
  assert.deepEqual(rest.map(describeFrame), PREFACE_SENT.slice(1));
  assert.equal(script.session.outputLength, 0);
});

/**
 * What a server sends after a request on stream 1, how the stream ends, what is sent after the request, and
 * the state then; the same in every cut.
 */
type Script = readonly [
  what: string,
  bytes: Uint8Array,
  end: string | undefined,
  sent: readonly string[],
  state?: "open" | "draining" | "closed",
];

const ACK = "SETTINGS ACK";
const CANCEL = "RST_STREAM 1 CANCEL";
const PROTOCOL_ERROR = "RST_STREAM 1 PROTOCOL_ERROR";

function malformed(reason: string): string {
  return `malformed: The answer breaks HTTP/2: ${reason}`;
}

function flooded(reason: string): string {
  return `flooded: The server breaks HTTP/2: ${reason}`;
}

function broken(reason: string): string {
  return `malformed: The server breaks HTTP/2: ${reason}`;
}

const PAGE_HEAD: readonly Field[] = [[":status", "502"], ["content-type", "text/html"]];

/** A header block in pieces of so many bytes. */
function continued(flags: number, bytes: Uint8Array, size: number): Uint8Array {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const last = at + size >= bytes.length ? 4 : 0;
    const part = bytes.slice(at, at + size);
    frames.push(at === 0 ? frame(1, flags | last, 1, part) : frame(9, last, 1, part));
  }
  return concat(...frames);
}

/** With a dynamic table: the second block has the head of the first by its index. */
const encoder = new HpackEncoder();
const indexed = (fields: readonly Field[]) =>
  Uint8Array.from(
    fields.flatMap(([name, value]) =>
      encoder.field({ name, value, literal: "incremental", indexed: true, huffman: true })
    ),
  );
const INFORMATIONAL = indexed([[":status", "103"], ["link", "</a>"]]);
const INDEXED_HEAD = indexed([[":status", "200"], ["content-type", "application/grpc"], [
  "link",
  "</a>",
]]);

const SCRIPTS: readonly Script[] = [
  ["SETTINGS and a good answer", concat(settings(), answer(1)), GOOD, [ACK]],
  ["SETTINGS_ENABLE_PUSH of 1, as HAProxy takes it", concat(settingsOf([2, 1]), answer(1)), GOOD, [
    ACK,
  ]],
  ["nothing", new Uint8Array(0), undefined, []],
  ["SETTINGS alone", settings(), undefined, [ACK]],
  [
    "DATA in many frames",
    concat(
      settings(),
      head(1),
      ...[...MESSAGE].map((byte) => data(1, Uint8Array.of(byte))),
      tail(1),
    ),
    GOOD,
    [ACK],
  ],
  [
    "padded HEADERS, DATA and trailers",
    concat(
      settings(),
      frame(1, 0xc, 1, concat(Uint8Array.of(3), block(...OK_HEAD), new Uint8Array(3))),
      frame(0, 8, 1, concat(Uint8Array.of(255), MESSAGE, new Uint8Array(255))),
      frame(1, 0xd, 1, concat(Uint8Array.of(0), block(...OK_TRAILERS))),
    ),
    GOOD,
    [ACK],
  ],
  [
    "HEADERS with a priority, and PRIORITY of streams that nobody opened",
    concat(
      settings(),
      frame(2, 0, 1, new Uint8Array(5)),
      frame(2, 0, 1001, new Uint8Array(5)),
      frame(1, 0x24, 1, concat(new Uint8Array(5), block(...OK_HEAD))),
      data(1, MESSAGE),
      tail(1),
    ),
    GOOD,
    [ACK],
  ],
  [
    "CONTINUATION of one byte each",
    concat(
      settings(),
      continued(0, block([":status", "200"]), 1),
      data(1, MESSAGE),
      continued(1, block(...OK_TRAILERS), 7),
    ),
    "200, [0 0 0 0 2 8 1], grpc-status=0",
    [ACK],
  ],
  [
    "unknown frames and settings anywhere",
    concat(
      settingsOf([0xff00, 1], [8, 1], [9, 1]),
      frame(0x10, 0xff, 0, new Uint8Array(9)),
      head(1),
      frame(0xfa, 0xff, 1, new Uint8Array(3)),
      frame(0xfa, 0, 77),
      data(1, MESSAGE),
      tail(1),
    ),
    GOOD,
    [ACK],
  ],
  [
    "informational answers first, in one dynamic table with the answer",
    concat(
      settings(),
      frame(1, 4, 1, INFORMATIONAL),
      fieldsFrame(1, [[":status", "100"]]),
      frame(1, 4, 1, INDEXED_HEAD),
      data(1, MESSAGE),
      tail(1),
    ),
    "200, content-type=application/grpc link=</a>, [0 0 0 0 2 8 1], grpc-status=0",
    [ACK],
  ],
  [
    "trailers only",
    concat(settings(), fieldsFrame(1, [...OK_HEAD, ["grpc-status", "12"]], { endStream: true })),
    "200, content-type=application/grpc grpc-status=12, []",
    [ACK],
  ],
  [
    "an answer that ends with empty DATA",
    concat(settings(), head(1), data(1, new Uint8Array(0), { endStream: true })),
    "200, content-type=application/grpc, []",
    [ACK],
  ],
  [
    "RST_STREAM (NO_ERROR) after the trailers",
    concat(settings(), answer(1), resetStream(1, 0)),
    GOOD,
    [ACK],
  ],
  [
    "WINDOW_UPDATE and PRIORITY on a stream that has ended",
    concat(settings(), answer(1), windowUpdate(1, 9), frame(2, 0, 1, new Uint8Array(5))),
    GOOD,
    [ACK],
  ],
  [
    "PING before, within and after the answer",
    concat(settings(), ping(1, 2, 3, 4, 5, 6, 7, 8), answer(1), ping(8, 7, 6, 5, 4, 3, 2, 1)),
    GOOD,
    [ACK, "PING ACK 1 2 3 4 5 6 7 8", "PING ACK 8 7 6 5 4 3 2 1"],
  ],
  [
    "acknowledgements, one that nobody asked for too",
    concat(
      settings(),
      frame(4, 1, 0),
      frame(4, 1, 0),
      frame(6, 1, 0, new Uint8Array(8)),
      answer(1),
    ),
    GOOD,
    [ACK],
  ],
  [
    "an error page, of which nothing more is read",
    concat(settings(), head(1, PAGE_HEAD)),
    "502, content-type=text/html, [], truncated",
    [ACK, CANCEL],
  ],
  [
    "an error page, the rest of which comes all the same",
    concat(settings(), head(1, PAGE_HEAD), data(1, new Uint8Array(99)), tail(1, [["a", "b"]])),
    "502, content-type=text/html, [], truncated",
    [ACK, CANCEL],
  ],
  [
    "an error without a page",
    concat(settings(), fieldsFrame(1, PAGE_HEAD, { endStream: true })),
    "502, content-type=text/html, []",
    [ACK],
  ],
  ["RST_STREAM", concat(settings(), resetStream(1, 2)), "reset INTERNAL_ERROR", [ACK]],
  [
    "RST_STREAM (NO_ERROR) in place of an answer",
    concat(settings(), resetStream(1, 0)),
    "reset NO_ERROR",
    [ACK],
  ],
  [
    "RST_STREAM in the middle of an answer",
    concat(settings(), head(1), data(1, MESSAGE), resetStream(1, 8)),
    "reset CANCEL",
    [ACK],
  ],
  [
    "REFUSED_STREAM",
    concat(settings(), resetStream(1, 7)),
    "refused: The server refused the stream (REFUSED_STREAM)",
    [ACK],
  ],
  [
    "an unknown error code",
    concat(settings(), resetStream(1, 0xffff_ffff)),
    "reset error 4294967295",
    [ACK],
  ],
  [
    "GOAWAY of this stream, and the answer",
    concat(settings(), goaway(1), answer(1)),
    GOOD,
    [ACK, "GOAWAY NO_ERROR"],
    "closed",
  ],
  ["GOAWAY of this stream", concat(settings(), goaway(1)), undefined, [ACK], "draining"],
  [
    "GOAWAY of all and then of this stream, and the answer",
    concat(settings(), goaway(2 ** 31 - 1), head(1), goaway(1), data(1, MESSAGE), tail(1)),
    GOOD,
    [ACK, "GOAWAY NO_ERROR"],
    "closed",
  ],
  [
    "the answer, and GOAWAY that denies it",
    concat(settings(), answer(1), goaway(0)),
    GOOD,
    [ACK, "GOAWAY NO_ERROR"],
    "closed",
  ],
  [
    "GOAWAY below this stream",
    concat(settings(), goaway(0, 11)),
    "refused: The server sent GOAWAY (ENHANCE_YOUR_CALM)",
    [ACK, "GOAWAY NO_ERROR"],
    "closed",
  ],
  [
    "DATA before HEADERS",
    concat(settings(), data(1, MESSAGE)),
    malformed("DATA came before HEADERS"),
    [ACK, PROTOCOL_ERROR],
  ],
  [
    "trailers that do not end the stream",
    concat(settings(), head(1), head(1, OK_TRAILERS)),
    malformed("trailers without END_STREAM"),
    [ACK, PROTOCOL_ERROR],
  ],
  [
    "an informational answer that ends the stream",
    concat(settings(), fieldsFrame(1, [[":status", "100"]], { endStream: true })),
    malformed("an answer of :status 100"),
    [ACK, PROTOCOL_ERROR],
  ],
  [
    "101 Switching Protocols",
    concat(settings(), head(1, [[":status", "101"]])),
    malformed("an answer of :status 101"),
    [ACK, PROTOCOL_ERROR],
  ],
  [
    "WINDOW_UPDATE of 0 bytes on the stream",
    concat(settings(), windowUpdate(1, 0)),
    malformed("WINDOW_UPDATE of 0 bytes"),
    [ACK, PROTOCOL_ERROR],
  ],
  [
    "WINDOW_UPDATE beyond the stream's greatest window",
    concat(settings(), windowUpdate(1, 2 ** 31 - 1)),
    malformed("a window overflows"),
    [ACK, "RST_STREAM 1 FLOW_CONTROL_ERROR"],
  ],
  [
    "WINDOW_UPDATE of 0 bytes on the connection",
    concat(settings(), windowUpdate(0, 0)),
    broken("WINDOW_UPDATE of 0 bytes"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "WINDOW_UPDATE beyond the connection's greatest window",
    concat(settings(), windowUpdate(0, 2 ** 31 - 1)),
    broken("a window overflows"),
    [ACK, "GOAWAY FLOW_CONTROL_ERROR"],
    "closed",
  ],
  [
    "SETTINGS_INITIAL_WINDOW_SIZE that overflows the stream's window",
    concat(settings(), windowUpdate(1, 2 ** 31 - 1 - 65_535), settingsOf([4, 2 ** 31 - 1])),
    broken("a window overflows"),
    [ACK, "GOAWAY FLOW_CONTROL_ERROR"],
    "closed",
  ],
  [
    "SETTINGS_INITIAL_WINDOW_SIZE beyond the greatest",
    concat(settings(), settingsOf([4, 2 ** 31])),
    broken("SETTINGS_INITIAL_WINDOW_SIZE of 2147483648"),
    [ACK, "GOAWAY FLOW_CONTROL_ERROR"],
    "closed",
  ],
  [
    "SETTINGS_MAX_FRAME_SIZE below the least",
    settingsOf([5, 16_383]),
    broken("SETTINGS_MAX_FRAME_SIZE of 16383"),
    ["GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "SETTINGS_MAX_FRAME_SIZE beyond the greatest",
    settingsOf([5, 16_777_216]),
    broken("SETTINGS_MAX_FRAME_SIZE of 16777216"),
    ["GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "SETTINGS_ENABLE_PUSH of 2",
    settingsOf([2, 2]),
    broken("SETTINGS_ENABLE_PUSH of 2"),
    ["GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "header fields that do not decode",
    concat(settings(), frame(1, 4, 1, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff))),
    broken("its header fields cannot be decoded: the header block ends inside a field"),
    [ACK, "GOAWAY COMPRESSION_ERROR"],
    "closed",
  ],
  [
    "a frame within a header block",
    concat(settings(), frame(1, 0, 1, block(...OK_HEAD)), ping(0, 0, 0, 0, 0, 0, 0, 0)),
    broken("a header block is interrupted"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "CONTINUATION of another stream",
    concat(settings(), frame(1, 0, 1, block(...OK_HEAD)), frame(9, 4, 3)),
    broken("a header block is interrupted"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "CONTINUATION after nothing",
    concat(settings(), head(1), frame(9, 4, 1)),
    broken("CONTINUATION without HEADERS"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "PUSH_PROMISE",
    concat(settings(), frame(5, 4, 1, Uint8Array.of(0, 0, 0, 2))),
    broken("PUSH_PROMISE, which is switched off"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "DATA on a stream that nobody opened",
    concat(settings(), data(3, MESSAGE)),
    broken("a frame on stream 3, never opened"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "HEADERS on a stream of the server's",
    concat(settings(), head(2)),
    broken("a frame on stream 2, never opened"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "RST_STREAM on a stream that nobody opened",
    concat(settings(), resetStream(3, 8)),
    broken("a frame on stream 3, never opened"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "WINDOW_UPDATE on a stream that nobody opened",
    concat(settings(), windowUpdate(3, 1)),
    broken("a frame on stream 3, never opened"),
    [ACK, "GOAWAY PROTOCOL_ERROR"],
    "closed",
  ],
  [
    "DATA after the end of the answer",
    concat(settings(), answer(1), data(1, MESSAGE)),
    GOOD,
    [ACK, "GOAWAY STREAM_CLOSED"],
    "closed",
  ],
  [
    "HEADERS after the end of the answer",
    concat(settings(), answer(1), tail(1)),
    GOOD,
    [ACK, "GOAWAY STREAM_CLOSED"],
    "closed",
  ],
];

for (const [what, bytes, end, sent, state = "open"] of SCRIPTS) {
  Deno.test(`Session takes ${what}, however it is cut`, () => {
    for (const parts of everyCut(bytes)) {
      const script = new ScriptedSession();
      script.open();
      assert.deepEqual(script.sent(), PREFACE_SENT);
      for (const part of parts) script.receive(part);
      assert.deepEqual(script.outcome, end === undefined ? [] : [`1: ${end}`]);
      assert.deepEqual(script.sent(), sent);
      assert.equal(script.session.state, state);
    }
  });
}

/** Fields that an answer must not have: in its headers, and whether trailers must not have them either. */
const MALFORMED_FIELDS: readonly [Field, string][] = [
  ...["{}", "a@b", 'a"b', "a/b", "a=b", "a\\b", "a,b", "a;b"].map((name): [Field, string] => [
    [name, "x"],
    `a forbidden field name ${JSON.stringify(name)}`,
  ]),
  [["Server", "x"], 'a forbidden field name "Server"'],
  [["", "x"], 'a forbidden field name ""'],
  [["a b", "x"], 'a forbidden field name "a b"'],
  [["a:b", "x"], 'a forbidden field name "a:b"'],
  [["a\0", "x"], 'a forbidden field name "a\\u0000"'],
  [["a\x7f", "x"], 'a forbidden field name "a\x7f"'],
  [["\xe9", "x"], 'a forbidden field name "\xe9"'],
  [["a", "x\0"], 'a forbidden value of "a"'],
  [["a", "x\ry"], 'a forbidden value of "a"'],
  [["a", "\n"], 'a forbidden value of "a"'],
  [[":path", "/"], 'an unknown ":path"'],
  [[":", "x"], 'an unknown ":"'],
  [["connection", "close"], 'the HTTP/1 field "connection"'],
  [["keep-alive", ""], 'the HTTP/1 field "keep-alive"'],
  [["proxy-connection", "x"], 'the HTTP/1 field "proxy-connection"'],
  [["transfer-encoding", "chunked"], 'the HTTP/1 field "transfer-encoding"'],
  [["upgrade", "h2c"], 'the HTTP/1 field "upgrade"'],
];

for (const [field, reason] of MALFORMED_FIELDS) {
  for (const part of ["headers", "trailers", "an informational answer"] as const) {
    Deno.test(`Session refuses ${part} with ${JSON.stringify(field)}, and lives on`, () => {
      const script = new ScriptedSession();
      script.open();
      script.receive(settings());
      if (part === "headers") script.receive(head(1, [...OK_HEAD, field]));
      else if (part === "trailers") script.receive(head(1), tail(1, [...OK_TRAILERS, field]));
      else script.receive(head(1, [[":status", "103"], field]));
      assert.deepEqual(script.outcome, [`1: ${malformed(reason)}`]);
      assert.equal(script.sent().at(-1), PROTOCOL_ERROR);
      script.open();
      script.receive(answer(3));
      assert.equal(script.outcome[1], `3: ${GOOD}`);
    });
  }
}

const STATUS_FIELDS: readonly [readonly Field[], string][] = [
  [[], "there is no :status"],
  [[["content-type", "application/grpc"]], "there is no :status"],
  [[["a", "b"], [":status", "200"]], 'a misplaced ":status"'],
  [[[":status", "200"], [":status", "200"]], 'more than one ":status"'],
  [[[":status", "200"], ["a", "b"], [":status", "200"]], 'more than one ":status"'],
  ...["", "20", "2000", "+20", " 200", "2e2", "099", "abc"].map((status) =>
    [
      [[":status", status]],
      `a :status that is no three digits: ${JSON.stringify(status)}`,
    ] as [readonly Field[], string]
  ),
];

for (const [fields, reason] of STATUS_FIELDS) {
  Deno.test(`Session refuses the headers ${JSON.stringify(fields)}`, () => {
    const script = new ScriptedSession();
    script.open();
    script.receive(settings(), head(1, fields));
    assert.deepEqual(script.outcome, [`1: ${malformed(reason)}`]);
  });
}

Deno.test("Session refuses :status in trailers", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(settings(), head(1), tail(1, [[":status", "200"]]));
  assert.deepEqual(script.outcome, [`1: ${malformed('a misplaced ":status"')}`]);
});

Deno.test("Session passes any other field on unchanged", () => {
  const script = new ScriptedSession();
  script.open();
  const odd: readonly Field[] = [
    ["a!#$%&'*+-.^_`|~0", " \t\x01\x7f\x80\xff "],
    ["age", ""],
  ];
  const inHeaders: readonly Field[] = [...odd, ["te", "gzip"], ["host", ""]];
  script.receive(settings(), head(1, [...OK_HEAD, ...inHeaders]), data(1, MESSAGE), tail(1, odd));
  const [[, end] = []] = script.ends;
  assert.ok(end?.kind === "response");
  assert.deepEqual(end.response.headers.slice(2), inHeaders);
  assert.deepEqual(end.response.trailers, odd);
});

for (const name of ["content-length", "host", "te"]) {
  Deno.test(`Session refuses trailers with ${name}, as HAProxy does`, () => {
    const script = new ScriptedSession();
    script.open();
    script.receive(settings(), head(1), tail(1, [...OK_TRAILERS, [name, "7"]]));
    assert.deepEqual(script.outcome, [`1: ${malformed(`in the trailers the field "${name}"`)}`]);
  });
}

/** Values of content-length before a body of as many bytes as MESSAGE has, and what is wrong with them. */
const CONTENT_LENGTHS: readonly [readonly string[], string | undefined][] = [
  [[`${MESSAGE.length}`], undefined],
  [[`${MESSAGE.length + 1}`], undefined],
  [[`${MESSAGE.length}`, `${MESSAGE.length}`], undefined],
  [["0"], "more DATA than content-length says"],
  [[`${MESSAGE.length - 1}`], "more DATA than content-length says"],
  [["", "7"], 'a content-length of ""'],
  [["+7"], 'a content-length of "+7"'],
  [["7, 7"], undefined],
  [["7, 8"], 'another content-length of "7, 8"'],
  [["7,"], 'a content-length of "7,"'],
  [["abc"], 'a content-length of "abc"'],
  [["7".repeat(23)], `a content-length of "${"7".repeat(23)}"`],
  [["7", "8"], 'another content-length of "8"'],
];

for (const [lengths, reason] of CONTENT_LENGTHS) {
  Deno.test(`Session takes an answer of content-length ${JSON.stringify(lengths)} as HAProxy does`, () => {
    const script = new ScriptedSession();
    script.open();
    const fields = lengths.map((value): Field => ["content-length", value]);
    script.receive(settings(), head(1, [...OK_HEAD, ...fields]), data(1, MESSAGE), tail(1));
    const [[, end] = []] = script.ends;
    if (reason === undefined) assert.equal(end?.kind, "response");
    else assert.deepEqual(script.outcome, [`1: ${malformed(reason)}`]);
  });
}

Deno.test("Session sends no RST_STREAM where the server has ended the stream with a body that is too long", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(settings(), head(1), data(1, new Uint8Array(5005), { endStream: true }));
  const [[, end] = []] = script.ends;
  assert.ok(end?.kind === "response" && end.response.truncated);
  assert.deepEqual(script.sent().filter((sent) => /RST_STREAM/.test(sent)), []);
});

Deno.test("Session ignores the reserved bit of the first frame's stream id", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(Uint8Array.of(0, 0, 0, 4, 0, 0x80, 0, 0, 0), answer(1));
  assert.deepEqual(script.outcome, [`1: ${GOOD}`]);
});

Deno.test("Session takes GOAWAY instead of the first SETTINGS as a refusal", () => {
  for (const parts of everyCut(goaway(0))) {
    const script = new ScriptedSession();
    script.open();
    for (const part of parts) script.receive(part);
    assert.match(script.outcome.join(), /^1: refused: The server sent GOAWAY/);
  }
});

const FIRST_BYTES: readonly [string, Uint8Array, string][] = [
  [
    "HTTP/1.1",
    new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    'The peer does not speak HTTP/2: it sent "HTTP/1.1 400 Bad Request.Content-Length"',
  ],
  [
    "SSH",
    new TextEncoder().encode("SSH-2.0-OpenSSH_9.2p1\r\n"),
    'The peer does not speak HTTP/2: it sent "SSH-2.0-OpenSSH_9.2p1."',
  ],
  [
    "a TLS alert",
    Uint8Array.of(0x15, 3, 3, 0, 2, 2, 40),
    "The peer speaks TLS: the line should say ssl",
  ],
  [
    "SETTINGS on a stream",
    frame(4, 0, 1),
    'The peer does not speak HTTP/2: it sent "."',
  ],
  ["an acknowledgement", frame(4, 1, 0), 'The peer does not speak HTTP/2: it sent "."'],
  ["a PING", ping(0, 0, 0, 0, 0, 0, 0, 0), 'The peer does not speak HTTP/2: it sent "."'],
  [
    "GOAWAY on a stream",
    frame(7, 0, 1, new Uint8Array(8)),
    'The peer does not speak HTTP/2: it sent "."',
  ],
];

for (const [what, bytes, reason] of FIRST_BYTES) {
  Deno.test(`Session takes ${what} instead of the first SETTINGS as no HTTP/2`, () => {
    const whole = new ScriptedSession();
    whole.open();
    whole.receive(bytes);
    assert.deepEqual(whole.outcome, [`1: not_http2: ${reason}`]);
    for (const parts of everyCut(bytes)) {
      const script = new ScriptedSession();
      script.open();
      for (const part of parts) script.receive(part);
      assert.match(script.outcome.join(), /^1: not_http2: /);
      assert.deepEqual(script.sent().slice(3), ["GOAWAY PROTOCOL_ERROR"]);
      assert.equal(script.session.state, "closed");
    }
  });
}

Deno.test("Session takes one request before the server's SETTINGS, and as many as they allow after", () => {
  const script = new ScriptedSession();
  assert.equal(script.session.freeStreams, 1);
  assert.equal(script.session.hasSettings, false);
  script.open();
  assert.equal(script.session.freeStreams, 0);
  script.receive(settingsOf([Setting.MAX_CONCURRENT_STREAMS, 3]));
  assert.equal(script.session.freeStreams, 2);
  assert.equal(script.session.hasSettings, true);
  script.open();
  script.open();
  assert.equal(script.session.freeStreams, 0);
  script.receive(answer(1));
  assert.equal(script.session.freeStreams, 1);
  script.receive(settingsOf([Setting.MAX_CONCURRENT_STREAMS, 1]));
  assert.equal(script.session.freeStreams, 0);
  script.receive(answer(3), answer(5));
  assert.equal(script.session.freeStreams, 1);
  assert.deepEqual(script.outcome, [1, 3, 5].map((id) => `${id}: ${GOOD}`));
});

for (const limit of [undefined, 100, 101, 2 ** 32 - 1]) {
  Deno.test(`Session has no more than 100 requests at once, if the server allows ${limit}`, () => {
    const script = new ScriptedSession();
    script.receive(settingsOf(...limit === undefined ? [] : [[3, limit] as const]));
    for (let count = 100; count > 0; count--) {
      assert.equal(script.session.freeStreams, count);
      script.open();
    }
    assert.equal(script.session.freeStreams, 0);
  });
}

Deno.test("Session keeps a limit that later SETTINGS do not mention", () => {
  const script = new ScriptedSession();
  script.receive(settingsOf([3, 2]), settingsOf([4, 1000]));
  assert.equal(script.session.freeStreams, 2);
});

const NO_STREAMS = "The server allows no streams (MAX_CONCURRENT_STREAMS is 0)";

Deno.test("Session takes a first limit of 0 as a refusal, and cancels its request", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(settingsOf([3, 0]));
  assert.deepEqual(script.outcome, [`1: refused: ${NO_STREAMS}`]);
  assert.deepEqual(script.sent().slice(3), [ACK, CANCEL, "GOAWAY NO_ERROR"]);
});

Deno.test("Session takes the answer of a server that allows no stream but has answered this one", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(settingsOf([3, 0]), answer(1));
  assert.deepEqual(script.outcome, [`1: ${GOOD}`]);
});

Deno.test("Session takes a reset with PROTOCOL_ERROR beyond a first limit as a refusal", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(settingsOf([3, 0]), resetStream(1, 1));
  assert.match(script.outcome.join(), /^1: refused: /);
});

Deno.test("Session lets calls end when a limit of 0 comes later, and then closes", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  script.open();
  script.receive(settingsOf([3, 0]));
  assert.deepEqual([script.session.state, script.session.freeStreams], ["draining", 0]);
  script.receive(answer(1));
  assert.deepEqual(script.outcome, [`1: ${GOOD}`]);
  assert.equal(script.session.state, "closed");
});

Deno.test("Session waits for the window of a stream, and sends its body as it opens", () => {
  const script = new ScriptedSession();
  script.receive(settingsOf([4, 0]));
  script.open();
  assert.deepEqual(script.sent(), ["SETTINGS", ACK, "HEADERS 1"]);
  script.receive(windowUpdate(0, 1000));
  assert.deepEqual(script.sent(), []);
  script.receive(windowUpdate(1, 3));
  assert.deepEqual(script.sent(), ["DATA 1 3"]);
  script.receive(settingsOf([4, 1]));
  assert.deepEqual(script.sent(), [ACK, "DATA 1 1"]);
  script.receive(windowUpdate(1, 100));
  assert.deepEqual(script.sent(), ["DATA 1 3 end"]);
});

Deno.test("Session sends nothing while a window is below 0, and counts up from there", () => {
  const script = new ScriptedSession();
  script.receive(settingsOf([4, 10]));
  script.open({ body: new Uint8Array(20) });
  assert.deepEqual(script.sent().slice(2), ["HEADERS 1", "DATA 1 10"]);
  script.receive(settingsOf([4, 3])); // the window is -7 now
  script.receive(windowUpdate(1, 7));
  assert.deepEqual(script.sent(), [ACK]);
  script.receive(windowUpdate(1, 4));
  assert.deepEqual(script.sent(), ["DATA 1 4"]);
  script.receive(settingsOf([4, 9]));
  assert.deepEqual(script.sent(), [ACK, "DATA 1 6 end"]);
});

Deno.test("Session keeps to the window of the connection, whatever the streams' are", () => {
  const script = new ScriptedSession();
  script.receive(settingsOf([4, 100_000]));
  script.open({ body: new Uint8Array(60_000) });
  script.open({ body: new Uint8Array(10_000) });
  const lengths = (frames: readonly string[]) =>
    frames.filter((sent) => sent.startsWith("DATA")).map((sent) => Number(sent.split(" ")[2]));
  assert.equal(lengths(script.sent()).reduce((sum, length) => sum + length), 65_535);
  script.receive(windowUpdate(3, 50_000));
  assert.deepEqual(script.sent(), []);
  script.receive(windowUpdate(0, 50_000));
  assert.deepEqual(script.sent(), ["DATA 3 4465 end"]);
});

Deno.test("Session sends frames no longer than the server takes", () => {
  const lengths = (script: ScriptedSession) =>
    script.sentFrames().slice(2).map(({ type, payload }) => [type, payload.length]);
  const request = { headerBlock: new Uint8Array(40_000), body: new Uint8Array(30_000) };
  const small = new ScriptedSession();
  small.receive(settings());
  small.open(request);
  assert.deepEqual(lengths(small), [[1, 16384], [9, 16384], [9, 7232], [0, 16384], [0, 13616]]);
  const large = new ScriptedSession();
  large.receive(settingsOf([5, 32_768]));
  large.open(request);
  assert.deepEqual(lengths(large), [[1, 32_768], [9, 7232], [0, 30_000]]);
});

Deno.test("Session sends no request whose headers are more than the server takes, and says so", () => {
  const script = new ScriptedSession();
  script.receive(settingsOf([6, 199]));
  script.sent();
  script.open();
  assert.match(script.outcome.join(), /^1: malformed: .*200 bytes.*199.*MAX_HEADER_LIST_SIZE/);
  assert.deepEqual(script.sent(), []);
  script.receive(settingsOf([6, 200]));
  script.open();
  script.receive(answer(3));
  assert.equal(script.outcome[1], `3: ${GOOD}`);
});

for (
  const [what, value, first] of [["0", 0, 0x20], ["4095", 4095, 0x20], ["4096", 4096, 0x83], [
    "more",
    65_536,
    0x83,
  ]] as const
) {
  Deno.test(`Session acknowledges a header table of ${what} as HPACK wants it, once`, () => {
    const script = new ScriptedSession();
    script.open();
    script.receive(settingsOf([1, value]));
    script.open();
    script.open();
    const blocks = script.sentFrames().filter(({ type }) => type === 1);
    assert.deepEqual(blocks.map(({ payload }) => payload[0]), [0x83, first, 0x83]);
    assert.deepEqual(blocks.map(({ payload }) => payload.length), [3, first === 0x20 ? 4 : 3, 3]);
  });
}

Deno.test("Session ends streams above a GOAWAY's and lets the others go on", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  for (let nth = 0; nth < 4; nth++) script.open();
  script.receive(goaway(2 ** 31 - 1));
  assert.deepEqual(script.outcome, []);
  assert.equal(script.session.freeStreams, 0);
  script.receive(goaway(3, 2));
  const refused = "refused: The server sent GOAWAY (INTERNAL_ERROR)";
  assert.deepEqual(script.outcome, [`5: ${refused}`, `7: ${refused}`]);
  script.receive(answer(3), answer(1));
  assert.deepEqual(script.outcome.slice(2), [`3: ${GOOD}`, `1: ${GOOD}`]);
  assert.equal(script.session.state, "closed");
  assert.equal(script.sent().at(-1), "GOAWAY NO_ERROR");
});

Deno.test("Session does not let a later GOAWAY raise the last stream", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  script.open();
  script.open();
  script.receive(goaway(1), goaway(3));
  assert.deepEqual(script.outcome, ["3: refused: The server sent GOAWAY (NO_ERROR)"]);
});

Deno.test("Session takes an answer that comes in the same read as the GOAWAY that excludes it", () => {
  for (
    const bytes of [
      concat(goaway(0), answer(1)),
      concat(head(1), goaway(0), data(1, MESSAGE), tail(1)),
    ]
  ) {
    const script = new ScriptedSession();
    script.open();
    script.receive(settings(), bytes);
    assert.deepEqual(script.outcome, [`1: ${GOOD}`]);
  }
});

Deno.test("Session lets other streams go on when the server answers one that its GOAWAY has excluded", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  script.open();
  script.open();
  script.receive(goaway(1));
  script.receive(answer(3));
  script.receive(answer(1));
  assert.deepEqual(script.outcome, ["3: refused: The server sent GOAWAY (NO_ERROR)", `1: ${GOOD}`]);
});

for (
  const [what, before, end] of [
    ["anything", [], "lost: gone"],
    ["SETTINGS", [settings()], "lost: gone"],
    ["an informational answer", [settings(), head(1, [[":status", "103"]])], "lost: gone"],
    ["the head", [settings(), head(1)], "lost in the middle: gone"],
    ["half the body", [settings(), head(1), data(1, MESSAGE)], "lost in the middle: gone"],
    ["GOAWAY", [settings(), goaway(1)], "lost: gone after GOAWAY (NO_ERROR)"],
    ["half a frame", [settings(), head(1).subarray(0, 12)], "lost: gone"],
  ] as const
) {
  Deno.test(`Session tells a connection that ends after ${what}`, () => {
    const script = new ScriptedSession();
    script.open();
    script.receive(...before);
    script.session.transportEnded("gone");
    script.session.transportEnded("again");
    assert.deepEqual(script.outcome, [`1: ${end}`]);
    assert.equal(script.session.state, "closed");
    script.receive(answer(1));
    assert.equal(script.ends.length, 1);
  });
}

Deno.test("Session cancels a call with RST_STREAM once, tells nobody, and lives on", () => {
  const script = new ScriptedSession();
  const id = script.open();
  script.receive(settings());
  assert.equal(script.session.cancel(id), true);
  assert.equal(script.session.cancel(id), false);
  assert.equal(script.session.cancel(99), false);
  assert.deepEqual(script.sent().slice(3), [ACK, CANCEL]);
  assert.equal(script.session.openStreams, 0);
  script.receive(head(1), data(1, MESSAGE), tail(1), resetStream(1, 8), windowUpdate(1, 1));
  assert.deepEqual(script.outcome, []);
  script.open();
  script.receive(answer(3));
  assert.deepEqual(script.outcome, [`3: ${GOOD}`]);
});

Deno.test("Session decodes header blocks of streams given up, which change the dynamic table", () => {
  const script = new ScriptedSession();
  const server = new HpackEncoder();
  const fields = (list: readonly Field[]) =>
    Uint8Array.from(
      list.flatMap(([name, value]) =>
        server.field({ name, value, literal: "incremental", indexed: true, huffman: true })
      ),
    );
  script.receive(settings());
  script.session.cancel(script.open());
  script.open();
  const [first, second] = [fields(OK_HEAD), fields(OK_HEAD)];
  assert.ok(second.length < first.length);
  script.receive(frame(1, 4, 1, first), frame(1, 4, 3, second), data(3, MESSAGE), tail(3));
  assert.deepEqual(script.outcome, [`3: ${GOOD}`]);
});

Deno.test("Session gives back the windows that late DATA of streams given up uses, padding included", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  script.sent();
  const late = (id: number) =>
    frame(0, 8, id, concat(Uint8Array.of(255), new Uint8Array(999 + 255)));
  let left = 65_535;
  const serverSends = (...frames: Uint8Array[]) => {
    for (const bytes of frames) if (bytes[3] === 0) left -= bytes.length - 9;
    assert.ok(left >= 0, "The server's window is empty");
    script.receive(...frames);
    for (const { type, payload } of script.sentFrames()) {
      if (type === 8) left += new DataView(payload.buffer).getUint32(0);
      assert.ok(left <= 65_535);
    }
  };
  for (let round = 0; round < 50; round++) {
    script.now += 1000;
    const id = script.open();
    script.session.cancel(id);
    serverSends(head(id));
    for (let nth = 0; nth < 40; nth++) serverSends(late(id));
    const next = script.open();
    serverSends(head(next), data(next, MESSAGE), tail(next));
  }
  assert.equal(script.ends.length, 50);
  assert.equal(script.session.state, "open");
});

Deno.test("Session ends a connection that goes on sending on a stream that was given up", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  script.session.cancel(script.open());
  script.open();
  for (let nth = 0; nth < 8; nth++) script.receive(data(1, new Uint8Array(16_000)));
  assert.equal(script.session.state, "open");
  script.receive(data(1, new Uint8Array(16_000)));
  assert.deepEqual(script.outcome, [`3: ${flooded("it sends DATA without end")}`]);
});

Deno.test("Session asks for a sign of life once between two answers, and tells what had come before", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  script.open();
  script.sent();
  assert.deepEqual([script.session.ping(), script.session.ping()], [1, 1]);
  assert.deepEqual(script.sent(), ["PING"]);
  script.receive(frame(6, 1, 0, new Uint8Array(8)));
  assert.equal(script.session.signsOfLife, 2);
  assert.equal(script.session.ping(), 1, "an acknowledgement is no answer");
  script.receive(answer(1));
  assert.equal(script.session.ping(), 3);
  assert.deepEqual(script.sent(), ["PING"]);
  script.receive(answer(script.open()));
  script.sent();
  script.session.transportEnded("gone");
  script.session.ping();
  assert.deepEqual(script.sent(), []);
});

Deno.test("Session that drains takes no further call, and closes when the last has ended", () => {
  const idle = new ScriptedSession();
  idle.session.drain();
  assert.equal(idle.session.state, "closed");
  assert.deepEqual(idle.sent(), ["SETTINGS", "GOAWAY NO_ERROR"]);
  const busy = new ScriptedSession();
  busy.receive(settings());
  busy.open();
  busy.open();
  busy.session.drain();
  assert.deepEqual([busy.session.state, busy.session.freeStreams], ["draining", 0]);
  busy.receive(answer(1));
  assert.equal(busy.session.state, "draining");
  busy.session.cancel(3);
  assert.equal(busy.session.state, "closed");
  assert.deepEqual(busy.sent().slice(-2), ["RST_STREAM 3 CANCEL", "GOAWAY NO_ERROR"]);
});

/** The longest health message with its prefix, and one byte too many. */
const LIMIT = 5 + 4096 + 1;

Deno.test("Session takes a body below its bound, and cancels the stream at the bound", () => {
  const bodies: readonly [number[], string][] = [
    [[LIMIT - 1], `200, content-type=application/grpc, ${LIMIT - 1} bytes, grpc-status=0`],
    [[LIMIT], `200, content-type=application/grpc, ${LIMIT} bytes, truncated`],
    [[LIMIT - 1, 1], `200, content-type=application/grpc, ${LIMIT} bytes, truncated`],
    [[4000, 16_384, 16_384], `200, content-type=application/grpc, ${LIMIT} bytes, truncated`],
  ];
  for (const [lengths, end] of bodies) {
    const script = new ScriptedSession();
    script.open();
    const parts = lengths.map((length) => data(1, new Uint8Array(length)));
    script.receive(settings(), head(1), ...parts, tail(1));
    assert.deepEqual(script.outcome, [`1: ${end}`]);
    assert.equal(script.session.state, "open");
    assert.equal(script.sent().includes(CANCEL), end.endsWith("truncated"));
  }
});

Deno.test("Session cancels the rest of a request that is answered before all of it has been sent", () => {
  const script = new ScriptedSession();
  script.receive(settingsOf([4, 0]));
  script.open();
  script.receive(answer(1));
  assert.deepEqual(script.outcome, [`1: ${GOOD}`]);
  assert.equal(script.sent().at(-1), CANCEL);
  script.receive(resetStream(1, 0), windowUpdate(1, 100));
  assert.deepEqual(script.sent(), []);
});

/** What a server may send so often in one second, and once more. */
const FLOODS: readonly [string, (id: number) => Uint8Array][] = [
  ["SETTINGS", () => settings()],
  ["acknowledged SETTINGS", () => frame(4, 1, 0)],
  ["PING", () => ping(0, 0, 0, 0, 0, 0, 0, 0)],
  ["acknowledged PINGs", () => frame(6, 1, 0, new Uint8Array(8))],
  ["empty DATA", (id) => data(id, new Uint8Array(0))],
  ["DATA of padding", (id) => frame(0, 8, id, Uint8Array.of(0))],
  ["WINDOW_UPDATE of the connection", () => windowUpdate(0, 1)],
  ["WINDOW_UPDATE of the stream", (id) => windowUpdate(id, 1)],
  ["PRIORITY", (id) => frame(2, 0, id, new Uint8Array(5))],
  ["unknown frames", () => frame(0xfa, 0, 0)],
  ["GOAWAY", () => goaway(2 ** 31 - 1)],
  ["RST_STREAM of streams that have ended", () => resetStream(1, 0)],
  ["DATA of streams that were given up", () => data(3, Uint8Array.of(1))],
  ["HEADERS of streams that were given up", () => head(3)],
];

for (const [what, flood] of FLOODS) {
  Deno.test(`Session ends a connection that floods it with ${what}, and no slower one`, () => {
    const calm = new ScriptedSession();
    const wild = new ScriptedSession();
    for (const script of [calm, wild]) {
      script.now = 5000;
      script.receive(settings());
      script.open();
      script.receive(answer(1));
      script.session.cancel(script.open());
      script.open();
      script.receive(head(5));
    }
    for (let nth = 0; nth < 1500; nth++) {
      calm.receive(flood(5));
      calm.now += 2.1;
      calm.session.takeOutput();
      if (wild.session.state !== "closed") wild.receive(flood(5));
      if (nth < 450) assert.notEqual(wild.session.state, "closed", `after ${nth}`);
    }
    assert.notEqual(calm.session.state, "closed");
    assert.equal(wild.session.state, "closed");
    assert.match(wild.outcome[1] ?? "", /^5: flooded: .*without end$/);
    assert.equal(wild.sent().at(-1), "GOAWAY ENHANCE_YOUR_CALM");
  });
}

Deno.test("Session takes twenty such frames more for each request of the second", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  for (let id = 1; id < 2000; id += 2) {
    script.open();
    for (let nth = 0; nth < 20; nth++) script.receive(ping(0, 0, 0, 0, 0, 0, 0, 0));
    script.receive(answer(id));
    script.session.takeOutput();
  }
  assert.equal(script.ends.length, 1000);
});

Deno.test("Session ends a call after sixteen informational answers", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(settings(), ...Array<Uint8Array>(16).fill(head(1, [[":status", "103"]])));
  assert.deepEqual(script.outcome, []);
  script.receive(head(1, [[":status", "103"]]));
  assert.match(script.outcome.join(), /informational answers without end/);
});

for (
  const [what, frames] of [
    ["of 33 CONTINUATIONs", [frame(1, 0, 1), ...Array(33).fill(frame(9, 0, 1))]],
    ["of more than 64 KiB", [
      frame(1, 0, 1, new Uint8Array(16_384)),
      ...Array(3).fill(frame(9, 0, 1, new Uint8Array(16_384))),
      frame(9, 0, 1, new Uint8Array(1)),
    ]],
  ] as const
) {
  Deno.test(`Session ends a connection that sends a header block ${what}`, () => {
    const script = new ScriptedSession();
    script.open();
    script.receive(settings(), ...frames.slice(0, -1));
    assert.deepEqual(script.outcome, []);
    script.receive(...frames.slice(-1));
    assert.deepEqual(script.outcome, [`1: ${flooded("a header block without end")}`]);
    assert.equal(script.sent().at(-1), "GOAWAY ENHANCE_YOUR_CALM");
  });
}

Deno.test("Session ends only its own call for a list of header fields that is too long", () => {
  const script = new ScriptedSession();
  script.open();
  script.open();
  const long = block(...OK_TRAILERS, ["grpc-message", "a".repeat(18_000)]);
  script.receive(settings(), head(1), continued(1, long, 16_384), answer(3));
  assert.deepEqual(script.outcome, [
    `1: ${malformed("header fields of more than the 16384 bytes allowed")}`,
    `3: ${GOOD}`,
  ]);
  assert.equal(script.session.state, "open");
});

Deno.test("Session ends only the call on the stream of a PRIORITY with a wrong length", () => {
  const script = new ScriptedSession();
  script.open();
  script.open();
  const priority = (id: number) => frame(2, 0, id, new Uint8Array(4));
  script.receive(settings(), priority(1), answer(3));
  assert.deepEqual(script.outcome, [`1: ${malformed("PRIORITY of 4 bytes")}`, `3: ${GOOD}`]);
  script.receive(priority(99));
  assert.equal(script.sent().at(-1), "GOAWAY FRAME_SIZE_ERROR");
});

Deno.test("Session tells the debug data of a GOAWAY", () => {
  const script = new ScriptedSession();
  script.open();
  const words = new TextEncoder().encode("too_many_pings\n");
  script.receive(settings(), frame(7, 0, 0, concat(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 11), words)));
  assert.deepEqual(script.outcome, [
    '1: refused: The server sent GOAWAY (ENHANCE_YOUR_CALM: "too_many_pings.")',
  ]);
});

for (
  const [what, flood] of [
    ["unknown frames", frame(0x42, 0, 0, new Uint8Array(16_384))],
    ["SETTINGS", settingsOf(...Array<[number, number]>(2700).fill([0x42, 1]))],
    ["late HEADERS", head(1, [...OK_HEAD, ["x-long", "a".repeat(16_000)]])],
  ] as const
) {
  Deno.test(`Session takes some long ${what}, and ends a connection that sends them without end`, () => {
    const script = new ScriptedSession();
    script.session.cancel(script.open());
    script.open();
    script.receive(settings(), ...Array<Uint8Array>(12).fill(flood));
    assert.deepEqual(script.outcome, []);
    script.receive(...Array<Uint8Array>(8).fill(flood));
    assert.deepEqual(script.outcome, [`3: ${flooded("it sends frames without end")}`]);
  });
}

Deno.test("Session takes a header block of 32 CONTINUATIONs", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(
    settings(),
    frame(1, 0, 1, block(...OK_HEAD)),
    ...Array(31).fill(frame(9, 0, 1)),
    frame(9, 4, 1),
    data(1, MESSAGE),
    tail(1),
  );
  assert.deepEqual(script.outcome, [`1: ${GOOD}`]);
});

Deno.test("Session ends a connection whose peer does not read what it asks for", () => {
  const script = new ScriptedSession();
  script.receive(settings());
  const pings = concat(...Array(400).fill(ping(0, 0, 0, 0, 0, 0, 0, 0)));
  for (let nth = 0; nth < 20; nth++) {
    script.receive(pings);
    script.now += 1000;
  }
  assert.equal(script.session.state, "closed");
  assert.ok(script.session.outputLength < 80_000);
});

Deno.test("Session takes an answer that is whole before the server breaks HTTP/2 in the same read", () => {
  const script = new ScriptedSession();
  script.open();
  script.receive(settings(), answer(1), frame(5, 4, 1, Uint8Array.of(0, 0, 0, 2)));
  assert.deepEqual(script.outcome, [`1: ${GOOD}`]);
  assert.equal(script.session.state, "closed");
});

Deno.test("Session carries 100,000 calls within its windows, and holds nothing of them", () => {
  const script = new ScriptedSession();
  script.receive(settingsOf([3, 5]));
  script.sent();
  const server = new HpackEncoder();
  const fields = (list: readonly Field[]) =>
    Uint8Array.from(
      list.flatMap(([name, value]) =>
        server.field({ name, value, literal: "incremental", indexed: true, huffman: true })
      ),
    );
  // The first blocks fill the dynamic table, the later ones are made of its indexes.
  const first = [fields(OK_HEAD), fields(OK_TRAILERS)];
  const later = [fields(OK_HEAD), fields(OK_TRAILERS)];
  const given = new Uint8Array(500);
  let window = 65_535;
  let taken = 0;
  let nextId = 1;
  let heap = 0;
  let answers = 0;
  const onEnd = ({ kind }: StreamEnd) => {
    if (kind === "response") answers++;
    else assert.fail(kind);
  };
  for (let call = 0; call < 100_000; call++) {
    if (call === 50_000) heap = Deno.memoryUsage().heapUsed;
    script.now += 1;
    const id = script.open({ onEnd });
    const cancelled = call % 7 === 0;
    if (cancelled) script.session.cancel(id);
    for (const { type, streamId, payload } of script.sentFrames()) {
      if (type === 1 && streamId !== nextId) assert.fail(`stream ${streamId} at call ${call}`);
      if (type === 1) nextId += 2;
      if (type === 0) taken += payload.length;
      if (type === 8) window += new DataView(payload.buffer).getUint32(0);
    }
    const body = cancelled ? given : MESSAGE;
    window -= body.length;
    if (window < 0 || window > 65_535) assert.fail(`A window of ${window} bytes at call ${call}`);
    const [headBlock, tailBlock] = call === 0 ? first : later;
    script.receive(frame(1, 4, id, headBlock), data(id, body), frame(1, 5, id, tailBlock));
    if (taken > 30_000) {
      script.receive(windowUpdate(0, taken));
      taken = 0;
    }
  }
  assert.equal(answers, 100_000 - Math.ceil(100_000 / 7));
  assert.equal(script.session.openStreams, 0);
  assert.equal(script.session.freeStreams, 5);
  assert.ok(Deno.memoryUsage().heapUsed - heap < 30e6);
});
