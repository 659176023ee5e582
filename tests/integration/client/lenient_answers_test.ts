// Good answers in every form that RFC 9113 and gRPC allow: each is `up`, on a new connection and on a kept one,
// and what the agent sends meanwhile is legal.

import assert from "node:assert/strict";
import { checkJson } from "../../lab/agent/run_agent.ts";
import { withAgent } from "../../lab/agent/with_agent.ts";
import {
  concat,
  data,
  ErrorCode,
  type Fields,
  frame,
  FrameFlag,
  FrameType,
  grpcMessage,
  headerBlock,
  headers,
  headersInParts,
  healthResponse,
  MAX_STREAM_ID,
  padded,
  ping,
  priority,
  resetStream,
  settings,
  windowUpdate,
} from "../../lab/backends/http2/frames.ts";
import { healthAnswer, responseHeaders, trailers } from "../../lab/backends/peers/http2_peer.ts";
import {
  type ScriptedCall,
  type ScriptedConnection,
  ScriptedServer,
} from "../../lab/backends/peers/scripted_server.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { sideBySide } from "../../lab/testing/side_by_side.ts";

/** A form of a good answer; `name` is read after "a backend that". */
interface GoodAnswer {
  readonly name: string;
  readonly answer: (call: ScriptedCall) => void | Promise<void>;
}

const MESSAGE = grpcMessage(healthResponse(1));
const NOTHING = new Uint8Array();

/** Sends it all in one write. */
function inOne(name: string, bytes: (id: number) => Uint8Array): GoodAnswer {
  return { name, answer: (call) => call.send(bytes(call.streamId)) };
}

/** An answer with this message. */
function saying(name: string, ...message: number[]): GoodAnswer {
  return inOne(
    name,
    (id) =>
      concat(responseHeaders(id), data(id, grpcMessage(Uint8Array.from(message))), trailers(id)),
  );
}

function withFields(name: string, head: Fields, tail: Fields = { "grpc-status": "0" }): GoodAnswer {
  return inOne(
    name,
    (id) => concat(headers(id, head), data(id, MESSAGE), headers(id, tail, { endStream: true })),
  );
}

const HEAD = [[":status", "200"], ["content-type", "application/grpc"]] as const;
const TAIL = [["grpc-status", "0"]] as const;

const FRAMING: readonly GoodAnswer[] = [
  ...[0, 1, 255].map((bytes) =>
    inOne(`pads every frame with ${bytes} bytes`, (id) =>
      concat(
        padded(responseHeaders(id), bytes),
        padded(data(id, MESSAGE), bytes),
        padded(trailers(id), bytes),
      ))
  ),
  inOne("cuts its header blocks into CONTINUATIONs, empty ones too", (id) => {
    const parts = (block: Uint8Array) => [
      block.subarray(0, 1),
      NOTHING,
      block.subarray(1, 9),
      block.subarray(9),
      NOTHING,
    ];
    return concat(
      headersInParts(id, parts(headerBlock(HEAD))),
      data(id, MESSAGE),
      headersInParts(id, parts(headerBlock(TAIL)), { endStream: true }),
    );
  }),
  inOne("sends its trailers in 30 CONTINUATIONs", (id) => {
    const block = headerBlock([...TAIL, ["x-more", "0123456789"]]);
    const parts = Array.from({ length: 30 }, (_, index) => block.subarray(index, index + 1));
    const end = headersInParts(id, [...parts, block.subarray(30)], { endStream: true });
    return concat(responseHeaders(id), data(id, MESSAGE), end);
  }),
  inOne("gives its HEADERS a priority", (id) => {
    const block = concat(Uint8Array.of(0x80, 0, 0, 0, 15), headerBlock(HEAD));
    const flags = FrameFlag.END_HEADERS | FrameFlag.PRIORITY;
    return concat(frame(FrameType.HEADERS, flags, id, block), data(id, MESSAGE), trailers(id));
  }),
  inOne("sends PRIORITY of any stream in between", (id) =>
    concat(
      ...[priority(id), priority(id + 2), responseHeaders(id), priority(99), data(id, MESSAGE)],
      ...[priority(id), trailers(id), priority(id)],
    )),
  inOne("sends frames of unknown types in between", (id) => {
    const unknown = concat(
      frame(0xfa, 0xff, id, new Uint8Array(300)),
      frame(0x0a, 0, 0, new Uint8Array(4)), // ALTSVC
      frame(0x0c, 0, 0, new Uint8Array(2)), // ORIGIN
      frame(0x10, 0, 0, new Uint8Array(5)), // PRIORITY_UPDATE
    );
    return concat(
      ...[unknown, responseHeaders(id), unknown, data(id, MESSAGE), unknown, trailers(id), unknown],
    );
  }),
  inOne("sends PING, SETTINGS and WINDOW_UPDATE in between", (id) => {
    const control = concat(
      ping(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)),
      settings({ MAX_FRAME_SIZE: 20_000, INITIAL_WINDOW_SIZE: 70_000, 0x4b: 7 }),
      windowUpdate(0, 1000),
      windowUpdate(id, 1000),
    );
    return concat(control, responseHeaders(id), control, data(id, MESSAGE), control, trailers(id));
  }),
  inOne("sends informational answers first", (id) =>
    concat(
      headers(id, { ":status": "100" }),
      headers(id, { ":status": "103", link: "</style.css>; rel=preload" }),
      headers(id, { ":status": "199" }),
      healthAnswer(id),
    )),
  inOne(
    "resets the stream with NO_ERROR after its trailers",
    (id) => concat(healthAnswer(id), resetStream(id, ErrorCode.NO_ERROR)),
  ),
  {
    name: "resets the stream with NO_ERROR a moment after its trailers",
    answer: async ({ streamId, connection }) => {
      await connection.send(healthAnswer(streamId));
      await connection.pause(20);
      await connection.send(resetStream(streamId, ErrorCode.NO_ERROR));
    },
  },
  {
    name: "closes after its answer",
    answer: ({ streamId, connection }) => connection.end(healthAnswer(streamId)),
  },
  inOne("cuts its message into DATA of one byte, and empty ones", (id) =>
    concat(
      responseHeaders(id),
      data(id, NOTHING),
      ...Array.from(MESSAGE, (byte) => concat(data(id, Uint8Array.of(byte)), data(id, NOTHING))),
      trailers(id),
    )),
  ...[1, 2, 3, 5, 7, 11].map((size): GoodAnswer => ({
    name: `sends its answer in pieces of ${size}`,
    answer: ({ streamId, connection }) => connection.sendInPieces(healthAnswer(streamId), size),
  })),
  {
    name: "takes 150 ms between head, message and trailers",
    answer: async ({ streamId, connection }) => {
      await connection.send(responseHeaders(streamId));
      await connection.pause(150);
      await connection.send(data(streamId, MESSAGE));
      await connection.pause(150);
      await connection.send(trailers(streamId));
    },
  },
];

const HEADER_FIELDS: readonly GoodAnswer[] = [
  ...[
    "application/grpc",
    "APPLICATION/GRPC",
    "application/grpc+proto",
    "Application/grpc+Proto",
    "application/grpc;charset=utf-8",
    "application/grpc ; a=b",
    "application/grpc+proto; a=b",
  ].map((type) =>
    withFields(`calls its answer ${type}`, { ":status": "200", "content-type": type })
  ),
  withFields("sends fields that nobody needs", [
    ...HEAD,
    ...[["date", "Fri, 27 Nov 2026 12:00:00 GMT"], ["server", "caf\u00e9 \u{1f600}"]] as const,
    ...[["x-empty", ""], ["x-long", "a".repeat(8000)], ["set-cookie", "a=b"]] as const,
    ...[["set-cookie", "c=d"], ["grpc-encoding", "identity"], ["x-tab", "a\tb"]] as const,
    ...[["grpc-accept-encoding", "gzip"], ["x-!#$%&'*+-.^_`|~09", "1"]] as const,
  ], [...TAIL, ["grpc-message", ""], ["grpc-status-details-bin", "AAA"], ["x-trailer", "1"]]),
  withFields("sends grpc-status after the other trailers", HEAD, [["x-first", "1"], ...TAIL]),
];

const MESSAGES: readonly GoodAnswer[] = [
  saying("sends fields that nobody knows", 0x12, 2, 0x61, 0x62, 0x08, 1, 0x1d, 1, 2, 3, 4, 0x50, 7),
  saying("sends a field of 8 bytes and an empty group", 0x08, 1, 0x21, 1, 2, 3, 4, 5, 6, 7, 8),
  saying("says its status twice, of which the last counts", 0x08, 2, 0x08, 1),
  saying("says its status in more bytes than it takes", 0x08, 0x81, 0x80, 0x00),
  saying("writes a field number in more bytes than it takes", 0x88, 0x00, 1),
];

/**
 * Tells an answer by the dynamic table of HPACK: the first of a connection fills it, the next ones use it.
 * 0x88 is `:status: 200`; 0x5f is content-type with a new value, 0x40 a new name (RFC 7541, section 6.2.1).
 */
function indexed({ streamId, nthOfConnection, connection }: ScriptedCall): Promise<void> {
  const isFirst = nthOfConnection === 1;
  const text = (value: string) => [value.length, ...new TextEncoder().encode(value)];
  const head = isFirst ? [0x88, 0x5f, ...text("application/grpc")] : [0x88, 0xbf];
  const tail = isFirst ? [0x40, ...text("grpc-status"), ...text("0")] : [0xbe];
  return sendBlocks(connection, streamId, head, tail);
}

/** The same in Huffman coding (RFC 7541, section 5.2), after a change of the table's size to 0 and back. */
function huffman({ streamId, connection }: ScriptedCall): Promise<void> {
  const type = Uint8Array.fromHex("1d75d0620d263d4c4d6564");
  const name = Uint8Array.fromHex("9acac8b21234da8f");
  const head = [0x20, 0x3f, 0xe1, 0x1f, 0x88, 0x5f, 0x80 | type.length, ...type];
  const tail = [0x00, 0x80 | name.length, ...name, 0x81, 0x07];
  return sendBlocks(connection, streamId, head, tail);
}

function sendBlocks(connection: ScriptedConnection, id: number, head: number[], tail: number[]) {
  const flags = FrameFlag.END_HEADERS;
  return connection.send(
    frame(FrameType.HEADERS, flags, id, Uint8Array.from(head)),
    data(id, MESSAGE),
    frame(FrameType.HEADERS, flags | FrameFlag.END_STREAM, id, Uint8Array.from(tail)),
  );
}

const COMPRESSION: readonly GoodAnswer[] = [
  { name: "tells its answers by HPACK's dynamic table", answer: indexed },
  { name: "tells its answers in Huffman coding, and changes the table's size", answer: huffman },
];

for (
  const [name, answers] of [
    ["a good answer is up however its frames are cut, padded and mixed", FRAMING],
    ["a good answer is up with any header fields that are allowed", HEADER_FIELDS],
    ["a good answer is up in any encoding of its message", MESSAGES],
    ["a good answer is up in any encoding of its header fields", COMPRESSION],
  ] as const
) {
  testPlainAndTls(name, async ({ flags, server }) => {
    const wrong: string[] = [];
    await withAgent({ flags: ["--reply-reason", "true", ...flags] }, async (agent) => {
      await sideBySide(answers, 8, async ({ name, answer }) => {
        await using backend = await ScriptedServer.start({ ...server, answer });
        for (let nth = 1; nth <= 3; nth++) {
          const reply = await agent.ask(backend.line());
          if (!/^up\b/.test(reply)) wrong.push(`a backend that ${name}: check ${nth}: ${reply}`);
        }
        for (const { observer } of backend.open) {
          await eventually(
            "SETTINGS and PINGs to be acknowledged",
            () =>
              observer.unacknowledgedSettings.length + observer.unacknowledgedPings.length === 0,
          );
        }
        wrong.push(...backend.violations.map((what) => `a backend that ${name}: ${what}`));
      });
    });
    assert.deepEqual(wrong, []);
  });
}

testPlainAndTls(
  "a server that greets late, in pieces, or with settings of any size is up",
  async ({ flags, server }) => {
    const greetings: [string, (connection: ScriptedConnection) => void | Promise<void>][] = [
      ["in pieces of one byte", (it) => it.sendInPieces(settings({ MAX_CONCURRENT_STREAMS: 9 }))],
      ["after 300 ms", async (it) => {
        await it.pause(300);
        await it.send(settings());
      }],
      ["with everything", (it) =>
        it.send(
          settings({
            HEADER_TABLE_SIZE: 0,
            ENABLE_PUSH: 0,
            MAX_CONCURRENT_STREAMS: MAX_STREAM_ID,
            INITIAL_WINDOW_SIZE: 2 ** 31 - 1,
            MAX_FRAME_SIZE: 2 ** 24 - 1,
            MAX_HEADER_LIST_SIZE: 2 ** 32 - 1,
            0x8: 1,
            0xabcd: 2 ** 32 - 1,
          }),
          windowUpdate(0, 2 ** 31 - 1 - 65_535),
          ping(),
        )],
      ["three times", (it) => it.send(settings(), settings(), settings({ HEADER_TABLE_SIZE: 99 }))],
    ];
    const wrong: string[] = [];
    await withAgent({ flags: ["--reply-reason", "true", ...flags] }, async (agent) => {
      await sideBySide(greetings, 8, async ([name, greet]) => {
        await using backend = await ScriptedServer.start({ ...server, greet });
        for (let nth = 1; nth <= 3; nth++) {
          const reply = await agent.ask(backend.line());
          if (!/^up\b/.test(reply)) wrong.push(`a server that greets ${name}: ${reply}`);
        }
        wrong.push(...backend.violations.map((what) => `a server that greets ${name}: ${what}`));
      });
    });
    assert.deepEqual(wrong, []);
  },
);

/** What a call that failed says, as it is on the wire, and as people should read it. */
const GRPC_MESSAGES: readonly (readonly [sent: string, shown: string])[] = [
  ["not today", "not today"],
  ["caf\u00e9 ferm\u00e9 \u{1f6ab}", "caf\u00e9 ferm\u00e9 \u{1f6ab}"],
  ["db%3A no route", "db: no route"],
  ["caf%C3%A9", "caf\u00e9"],
  ["100% sure, 5%2", "100% sure, 5%2"],
  ["%zz %", "%zz %"],
  ["ends with a blank ", "ends with a blank "],
];

Deno.test("an error in trailers only, or after a head, is told with its code and its decoded grpc-message", async () => {
  const wrong: string[] = [];
  await sideBySide(GRPC_MESSAGES, 3, async ([sent, shown]) => {
    await using backend = await ScriptedServer.start({
      answer: ({ streamId, connection }) => {
        const fields = [["grpc-status", "9"], ["grpc-message", sent]] as const;
        const end = { endStream: true };
        return sent.length % 2 === 0
          ? connection.send(headers(streamId, [...HEAD, ...fields], end))
          : connection.send(responseHeaders(streamId), headers(streamId, fields, end));
      },
    });
    const args = ["127.0.0.1", `${backend.port}`, "no-ssl", "backend.test"];
    const { detail, code } = await checkJson(args);
    if (code !== 1 || !detail.endsWith(`FAILED_PRECONDITION: ${shown}`)) {
      wrong.push(`"${sent}": ${JSON.stringify(detail)}`);
    }
  });
  assert.deepEqual(wrong, []);
});
