import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ConnectionError,
  ErrorCode,
  errorName,
  type Frame,
  FrameEncoder,
  Setting,
} from "../../../src/http2/frame.ts";
import { FrameDecoder } from "../../../src/http2/frame_decoder.ts";
import { concat, frame, FrameReader, PREFACE } from "../../lab/backends/http2/frames.ts";
import { everyCut, partsOf } from "../../lab/unit/every_cut.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

/** Decodes parts as they come; what a frame holds is copied, as it is valid for the moment only. */
function decode(parts: readonly Uint8Array[]): Frame[] {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (const part of parts) decoder.push(part, (frame) => frames.push(structuredClone(frame)));
  return frames;
}

const LAST_ID = 0x7fff_ffff;

const GOOD: readonly [string, Uint8Array, Frame][] = [
  ["DATA", frame(0, 0, 1, bytes(1, 2)), {
    type: "data",
    streamId: 1,
    data: bytes(1, 2),
    endStream: false,
    windowBytes: 2,
  }],
  ["DATA that ends the stream", frame(0, 1, 3), {
    type: "data",
    streamId: 3,
    data: bytes(),
    endStream: true,
    windowBytes: 0,
  }],
  ["DATA with padding, all of which takes of the windows", frame(0, 8, 1, bytes(2, 7, 0, 0)), {
    type: "data",
    streamId: 1,
    data: bytes(7),
    endStream: false,
    windowBytes: 4,
  }],
  ["DATA with a padding of 0 bytes", frame(0, 9, 1, bytes(0, 7)), {
    type: "data",
    streamId: 1,
    data: bytes(7),
    endStream: true,
    windowBytes: 2,
  }],
  ["DATA of nothing but padding", frame(0, 8, 1, bytes(3, 0, 0, 0)), {
    type: "data",
    streamId: 1,
    data: bytes(),
    endStream: false,
    windowBytes: 4,
  }],
  ["DATA with flags that mean nothing", frame(0, 0xf6, 1, bytes(7)), {
    type: "data",
    streamId: 1,
    data: bytes(7),
    endStream: false,
    windowBytes: 1,
  }],
  ["the longest DATA", frame(0, 0, 1, new Uint8Array(16_384)), {
    type: "data",
    streamId: 1,
    data: new Uint8Array(16_384),
    endStream: false,
    windowBytes: 16_384,
  }],
  ["DATA on the last stream, the reserved bit set", frame(0, 0, 0xffff_ffff), {
    type: "data",
    streamId: LAST_ID,
    data: bytes(),
    endStream: false,
    windowBytes: 0,
  }],
  ["HEADERS", frame(1, 4, 1, bytes(0x88)), {
    type: "headers",
    streamId: 1,
    fragment: bytes(0x88),
    endStream: false,
    endHeaders: true,
  }],
  ["HEADERS to be continued that end the stream", frame(1, 1, 1, bytes(0x88)), {
    type: "headers",
    streamId: 1,
    fragment: bytes(0x88),
    endStream: true,
    endHeaders: false,
  }],
  ["HEADERS with padding", frame(1, 0xc, 1, bytes(1, 0x88, 0)), {
    type: "headers",
    streamId: 1,
    fragment: bytes(0x88),
    endStream: false,
    endHeaders: true,
  }],
  ["HEADERS with a priority", frame(1, 0x24, 1, bytes(0x80, 0, 0, 0, 255, 0x88)), {
    type: "headers",
    streamId: 1,
    fragment: bytes(0x88),
    endStream: false,
    endHeaders: true,
  }],
  [
    "HEADERS with padding and priority and no field",
    frame(1, 0x2c, 1, bytes(1, 0, 0, 0, 0, 0, 0)),
    {
      type: "headers",
      streamId: 1,
      fragment: bytes(),
      endStream: false,
      endHeaders: true,
    },
  ],
  ["CONTINUATION", frame(9, 0, 1, bytes(1)), {
    type: "continuation",
    streamId: 1,
    fragment: bytes(1),
    endHeaders: false,
  }],
  // PADDED has no meaning there.
  ["the last CONTINUATION", frame(9, 0xc, 1, bytes(1)), {
    type: "continuation",
    streamId: 1,
    fragment: bytes(1),
    endHeaders: true,
  }],
  ["RST_STREAM", frame(3, 0, 5, bytes(0xff, 0xff, 0xff, 0xff)), {
    type: "rst_stream",
    streamId: 5,
    code: 0xffff_ffff,
  }],
  ["SETTINGS of nothing", frame(4, 0, 0), { type: "settings", values: [] }],
  [
    "SETTINGS, unknown ones too",
    frame(4, 0, 0, bytes(0, 3, 0, 0, 0, 1, 0xff, 0xff, 255, 0, 0, 0)),
    {
      type: "settings",
      values: [[3, 1], [0xffff, 0xff00_0000]],
    },
  ],
  ["SETTINGS acknowledged", frame(4, 1, 0), { type: "settings_ack" }],
  ["PING", frame(6, 0, 0, bytes(1, 2, 3, 4, 5, 6, 7, 8)), {
    type: "ping",
    data: bytes(1, 2, 3, 4, 5, 6, 7, 8),
  }],
  ["PING acknowledged", frame(6, 1, 0, new Uint8Array(8)), { type: "ping_ack" }],
  ["GOAWAY", frame(7, 0, 0, bytes(0xff, 255, 255, 255, 0, 0, 0, 11)), {
    type: "goaway",
    lastStreamId: LAST_ID,
    code: 11,
    debugData: bytes(),
  }],
  ["GOAWAY with words", frame(7, 0, 0, bytes(0, 0, 0, 1, 0, 0, 0, 0, 104, 105)), {
    type: "goaway",
    lastStreamId: 1,
    code: 0,
    debugData: bytes(104, 105),
  }],
  ["WINDOW_UPDATE of the connection, the reserved bit set", frame(8, 0, 0, bytes(0x80, 0, 0, 9)), {
    type: "window_update",
    streamId: 0,
    increment: 9,
  }],
  ["WINDOW_UPDATE of a stream", frame(8, 0, 1, bytes(0x7f, 255, 255, 255)), {
    type: "window_update",
    streamId: 1,
    increment: LAST_ID,
  }],
  ["WINDOW_UPDATE of 0 bytes, which is the session's to judge", frame(8, 0, 1, bytes(0, 0, 0, 0)), {
    type: "window_update",
    streamId: 1,
    increment: 0,
  }],
  ["PRIORITY", frame(2, 0, 9, new Uint8Array(5)), {
    type: "priority",
    streamId: 9,
    bytes: 5,
  }],
  ["a type that is not known", frame(0x42, 0xff, 0, bytes(1)), { type: "ignored", bytes: 1 }],
  ["ORIGIN", frame(0xc, 0, 0), { type: "ignored", bytes: 0 }],
];

for (const [what, encoded, expected] of GOOD) {
  Deno.test(`FrameDecoder reads ${what}, however it is cut`, () => {
    const next = frame(4, 1, 0);
    const all = concat(encoded, next);
    const cuts = encoded.length > 1000
      ? [[all], partsOf(all, 1024), partsOf(all, 1000), partsOf(all, 16_384), partsOf(all, 1)]
      : everyCut(all);
    for (const parts of cuts) assert.deepEqual(decode(parts), [expected, { type: "settings_ack" }]);
  });
}

const { PROTOCOL_ERROR, FRAME_SIZE_ERROR } = ErrorCode;

const BAD: readonly [string, Uint8Array, number, RegExp][] = [
  ["a frame that is too long", bytes(0, 0x40, 1, 0, 0, 0, 0, 0, 1), FRAME_SIZE_ERROR, /16385/],
  ["the longest frame", bytes(255, 255, 255, 0x42, 0, 0, 0, 0, 1), FRAME_SIZE_ERROR, /16777215/],
  ["DATA on the connection", frame(0, 0, 0), PROTOCOL_ERROR, /DATA on stream 0/],
  ["padded DATA of 0 bytes", frame(0, 8, 1), FRAME_SIZE_ERROR, /DATA of 0/],
  ["DATA of more padding than bytes", frame(0, 8, 1, bytes(1)), PROTOCOL_ERROR, /padding/],
  ["DATA of as much padding as bytes", frame(0, 8, 1, bytes(2, 0)), PROTOCOL_ERROR, /padding/],
  ["HEADERS on the connection", frame(1, 4, 0), PROTOCOL_ERROR, /HEADERS on stream 0/],
  ["padded HEADERS of 0 bytes", frame(1, 0xc, 1), FRAME_SIZE_ERROR, /HEADERS/],
  ["HEADERS of more padding than bytes", frame(1, 0xc, 1, bytes(9, 0)), PROTOCOL_ERROR, /padding/],
  ["HEADERS of half a priority", frame(1, 0x24, 1, new Uint8Array(4)), FRAME_SIZE_ERROR, /of 4/],
  [
    "HEADERS whose padding takes of the priority",
    frame(1, 0x2c, 1, bytes(1, 0, 0, 0, 0, 0)),
    FRAME_SIZE_ERROR,
    /HEADERS/,
  ],
  ["CONTINUATION on the connection", frame(9, 4, 0), PROTOCOL_ERROR, /on stream 0/],
  [
    "RST_STREAM on the connection",
    frame(3, 0, 0, new Uint8Array(4)),
    PROTOCOL_ERROR,
    /on stream 0/,
  ],
  ["RST_STREAM of 3 bytes", frame(3, 0, 1, new Uint8Array(3)), FRAME_SIZE_ERROR, /of 3/],
  ["RST_STREAM of 5 bytes", frame(3, 0, 1, new Uint8Array(5)), FRAME_SIZE_ERROR, /of 5/],
  ["SETTINGS on a stream", frame(4, 0, 1), PROTOCOL_ERROR, /SETTINGS on stream 1/],
  ["SETTINGS of half a setting", frame(4, 0, 0, new Uint8Array(7)), FRAME_SIZE_ERROR, /of 7/],
  ["SETTINGS acknowledged with some", frame(4, 1, 0, new Uint8Array(6)), FRAME_SIZE_ERROR, /of 6/],
  ["PUSH_PROMISE", frame(5, 4, 1, new Uint8Array(4)), PROTOCOL_ERROR, /PUSH_PROMISE/],
  ["PING on a stream", frame(6, 0, 1, new Uint8Array(8)), PROTOCOL_ERROR, /PING on stream 1/],
  ["PING of 7 bytes", frame(6, 0, 0, new Uint8Array(7)), FRAME_SIZE_ERROR, /of 7/],
  ["PING of 9 bytes", frame(6, 1, 0, new Uint8Array(9)), FRAME_SIZE_ERROR, /of 9/],
  ["GOAWAY on a stream", frame(7, 0, 1, new Uint8Array(8)), PROTOCOL_ERROR, /GOAWAY on stream 1/],
  ["GOAWAY of 7 bytes", frame(7, 0, 0, new Uint8Array(7)), FRAME_SIZE_ERROR, /of 7/],
  ["WINDOW_UPDATE of 3 bytes", frame(8, 0, 0, new Uint8Array(3)), FRAME_SIZE_ERROR, /of 3/],
  ["WINDOW_UPDATE of 5 bytes", frame(8, 0, 1, new Uint8Array(5)), FRAME_SIZE_ERROR, /of 5/],
  ["PRIORITY on the connection", frame(2, 0, 0, new Uint8Array(5)), PROTOCOL_ERROR, /on stream 0/],
];

for (const [what, encoded, code, message] of BAD) {
  Deno.test(`FrameDecoder refuses ${what}, however it is cut`, () => {
    for (const parts of everyCut(concat(frame(4, 1, 0), encoded))) {
      assert.throws(
        () => decode(parts),
        (error) =>
          error instanceof ConnectionError && error.code === code && message.test(error.message),
      );
    }
  });
}

Deno.test("FrameDecoder refuses a frame that is too long by its header, before it has come", () => {
  const decoder = new FrameDecoder();
  assert.throws(() => decoder.push(bytes(0, 0x40, 1, 0, 0, 0, 0, 0, 1), () => {}), ConnectionError);
});

Deno.test("FrameDecoder hands on a frame with its last byte, and waits for it", () => {
  const encoded = frame(6, 0, 0, new Uint8Array(8));
  assert.deepEqual(decode([encoded.subarray(0, -1)]), []);
  assert.equal(decode([encoded]).length, 1);
  assert.deepEqual(decode([bytes(), encoded, bytes()]).length, 1);
});

Deno.test("FrameDecoder reads the same frames from any bytes, however they are cut", () => {
  const part = fc.oneof(
    fc.constantFrom(...GOOD.map(([, encoded]) => encoded), ...BAD.map(([, encoded]) => encoded)),
    fc.uint8Array({ maxLength: 40 }),
  );
  const outcome = (parts: readonly Uint8Array[]) => {
    const decoder = new FrameDecoder();
    const frames: unknown[] = [];
    try {
      for (const part of parts) decoder.push(part, (frame) => frames.push(structuredClone(frame)));
    } catch (error) {
      assert.ok(error instanceof ConnectionError);
      frames.push(error.message);
    }
    return frames;
  };
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), fc.integer({ min: 1, max: 30 }), (all, size) => {
      const joined = concat(...all);
      assert.deepEqual(outcome(partsOf(joined, size)), outcome([joined]));
    }),
    { numRuns: 300 },
  );
});

/** What an encoder has made, read by the laboratory's reader. */
function written(write: (encoder: FrameEncoder) => void) {
  const encoder = new FrameEncoder();
  write(encoder);
  const { length } = encoder;
  const taken = encoder.take();
  assert.equal(taken.length, length);
  assert.equal(encoder.length, 0);
  assert.equal(encoder.take().length, 0);
  return new FrameReader().push(taken);
}

const WRITTEN: readonly [string, (encoder: FrameEncoder) => void, Uint8Array][] = [
  ["HEADERS", (to) => to.headers(1, bytes(1, 2), 16_384), frame(1, 4, 1, bytes(1, 2))],
  ["HEADERS of nothing", (to) => to.headers(1, bytes(), 16_384), frame(1, 4, 1)],
  [
    "HEADERS with CONTINUATION",
    (to) => to.headers(7, bytes(1, 2, 3, 4, 5), 2),
    concat(frame(1, 0, 7, bytes(1, 2)), frame(9, 0, 7, bytes(3, 4)), frame(9, 4, 7, bytes(5))),
  ],
  [
    "HEADERS that fill their frames",
    (to) => to.headers(7, bytes(1, 2, 3, 4), 2),
    concat(frame(1, 0, 7, bytes(1, 2)), frame(9, 4, 7, bytes(3, 4))),
  ],
  ["DATA", (to) => to.data(1, bytes(9), false), frame(0, 0, 1, bytes(9))],
  ["DATA that ends the stream", (to) => to.data(LAST_ID, bytes(), true), frame(0, 1, LAST_ID)],
  ["RST_STREAM", (to) => to.rstStream(1, 8), frame(3, 0, 1, bytes(0, 0, 0, 8))],
  ["SETTINGS acknowledged", (to) => to.settingsAck(), frame(4, 1, 0)],
  ["PING", (to) => to.ping(new Uint8Array(8)), frame(6, 0, 0, new Uint8Array(8))],
  [
    "PING acknowledged",
    (to) => to.pingAck(bytes(1, 2, 3, 4, 5, 6, 7, 8)),
    frame(6, 1, 0, bytes(1, 2, 3, 4, 5, 6, 7, 8)),
  ],
  ["GOAWAY", (to) => to.goaway(11), frame(7, 0, 0, bytes(0, 0, 0, 0, 0, 0, 0, 11))],
  [
    "WINDOW_UPDATE",
    (to) => to.windowUpdate(0, LAST_ID),
    frame(8, 0, 0, bytes(0x7f, 255, 255, 255)),
  ],
];

for (const [what, write, expected] of WRITTEN) {
  Deno.test(`FrameEncoder writes ${what}`, () => {
    assert.deepEqual(written(write), new FrameReader().push(expected));
  });
}

Deno.test("FrameEncoder writes the preface first, with its settings", () => {
  const encoder = new FrameEncoder();
  encoder.preface([[Setting.ENABLE_PUSH, 0], [Setting.MAX_HEADER_LIST_SIZE, 0x0102_0304]]);
  const expected = frame(4, 0, 0, bytes(0, 2, 0, 0, 0, 0, 0, 6, 1, 2, 3, 4));
  assert.deepEqual(encoder.take(), concat(PREFACE, expected));
});

Deno.test("FrameEncoder keeps what was written through any growth, and gives what was taken away", () => {
  const encoder = new FrameEncoder();
  const expected: Uint8Array[] = [];
  for (let length = 0; length < 3000; length += 97) {
    const payload = new Uint8Array(length).fill(length);
    encoder.data(1, payload, false);
    expected.push(frame(0, 0, 1, payload));
  }
  const taken = encoder.take();
  encoder.data(1, new Uint8Array(600).fill(0xee), false);
  assert.deepEqual(taken, concat(...expected));
});

Deno.test("errorName() gives the names of RFC 9113, and the number of others", () => {
  assert.deepEqual([0, 7, 13, 14, 4711].map(errorName), [
    "NO_ERROR",
    "REFUSED_STREAM",
    "HTTP_1_1_REQUIRED",
    "error 14",
    "error 4711",
  ]);
});
