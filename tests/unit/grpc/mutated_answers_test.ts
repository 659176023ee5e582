import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { loadSync } from "@grpc/proto-loader";
import fc from "fast-check";
import { isDecided, readHealthAnswer } from "../../../src/grpc/response.ts";
import {
  concat,
  data,
  frame,
  FrameReader,
  goaway,
  grpcMessage,
  healthResponse,
  resetStream,
  settings,
  windowUpdate,
} from "../../lab/backends/http2/frames.ts";
import { HpackEncoder } from "../../lab/backends/http2/hpack_encoder.ts";
import { HpackReader } from "../../lab/backends/http2/hpack_reader.ts";
import { partsOf } from "../../lab/unit/every_cut.ts";
import {
  type Field,
  fieldsFrame,
  ScriptedSession,
  settingsOf,
} from "../../lab/unit/session_script.ts";

/** What the agent makes of what a server sends after a request on stream 1, read in parts. */
function agentReads(parts: readonly Uint8Array[]): string {
  const script = new ScriptedSession();
  script.open({ isDecided });
  for (const part of parts) script.receive(part);
  script.session.transportEnded("the end");
  const [[, end] = [], ...more] = script.ends;
  assert.ok(end !== undefined && more.length === 0, "each request ends once");
  if (end.kind !== "response") return `${end.kind} ${"reason" in end ? end.reason : end.code}`;
  const answer = readHealthAnswer(end.response);
  return answer.ok ? answer.status : `${answer.code}: ${answer.detail}`;
}

const definition = loadSync(
  new URL("../../../proto/grpc/health/v1/health.proto", import.meta.url).pathname,
  { enums: String, defaults: true },
);
const { Check: method } = definition["grpc.health.v1.Health"] as unknown as Record<
  string,
  { readonly responseDeserialize: (bytes: Buffer) => { readonly status: string } }
>;

/**
 * A second reading of the same bytes, as plain as can be: whether the first whole answer on stream 1 says
 * SERVING. It shares nothing with the agent's, and knows no rule by which a whole connection is given up.
 */
function saysServing(bytes: Uint8Array): boolean {
  const hpack = new HpackReader();
  let block: Uint8Array | undefined;
  let ends = false;
  let heads = 0;
  let status = "";
  let type = "";
  const grpcStatuses: string[] = [];
  let body: Uint8Array = new Uint8Array(0);
  for (const { type: frameType, flags, streamId, payload } of new FrameReader().push(bytes)) {
    if (frameType > 1 && frameType !== 9) continue;
    const padded = frameType !== 9 && (flags & 8) !== 0;
    const start = padded ? 1 : 0;
    const unpadded = payload.subarray(start, payload.length - (padded ? payload[0] ?? 0 : 0));
    if (frameType === 0) {
      if (streamId !== 1) continue;
      body = concat(body, unpadded);
      if ((flags & 1) !== 0) break;
      continue;
    }
    if (frameType === 1) ends = (flags & 1) !== 0;
    const fragment = frameType === 1 && (flags & 0x20) !== 0 ? unpadded.subarray(5) : unpadded;
    block = concat(block ?? new Uint8Array(0), fragment);
    if ((flags & 4) === 0) continue;
    const fields = hpack.read(block);
    block = undefined;
    if (streamId !== 1) continue;
    const valueOf = (wanted: string) => fields.find(({ name }) => name === wanted)?.value;
    if (heads === 0) {
      const code = valueOf(":status") ?? "";
      if (code.startsWith("1")) continue;
      status = code;
      type = valueOf("content-type") ?? "";
    }
    heads++;
    for (const { name, value } of fields) if (name === "grpc-status") grpcStatuses.push(value);
    if (ends) break;
  }
  if (!ends || status !== "200" || !type.toLowerCase().startsWith("application/grpc")) return false;
  if (grpcStatuses.length !== 1 || Number(grpcStatuses[0]) !== 0) return false;
  const length = body.length < 5 ? -1 : new DataView(body.buffer).getUint32(1);
  if (body[0] !== 0 || body.length !== 5 + length) return false;
  assert.ok(method);
  return method.responseDeserialize(Buffer.from(body.subarray(5))).status === "SERVING";
}

const HEAD: readonly Field[] = [[":status", "200"], ["content-type", "application/grpc"]];
const SERVING = grpcMessage(healthResponse(1));

function indexed(fields: readonly Field[], encoder: HpackEncoder): Uint8Array {
  return Uint8Array.from(
    fields.flatMap(([name, value]) =>
      encoder.field({ name, value, literal: "incremental", indexed: true, huffman: true })
    ),
  );
}

/** Good answers in all their forms, frame by frame. */
const GOOD_ANSWERS: readonly (readonly Uint8Array[])[] = [
  [
    settings(),
    fieldsFrame(1, HEAD),
    data(1, SERVING),
    fieldsFrame(1, [["grpc-status", "0"], ["grpc-message", ""]], { endStream: true }),
  ],
  [
    settingsOf([3, 100], [4, 65_535], [6, 16_384]),
    windowUpdate(0, 1000),
    frame(4, 1, 0),
    frame(6, 0, 0, new Uint8Array(8)),
    frame(
      1,
      0xc,
      1,
      concat(Uint8Array.of(2), indexed(HEAD, new HpackEncoder()), new Uint8Array(2)),
    ),
    ...[...SERVING].map((byte) => data(1, Uint8Array.of(byte))),
    fieldsFrame(1, [["grpc-status", "0"]], { endStream: true }),
    resetStream(1, 0),
  ],
  (() => {
    const encoder = new HpackEncoder();
    const head = indexed([...HEAD, ["date", "Fri, 27 Nov 2026 18:00:00 GMT"]], encoder);
    const trailers = indexed(
      [["date", "Fri, 27 Nov 2026 18:00:00 GMT"], ["grpc-status", "0"]],
      encoder,
    );
    return [
      settings(),
      fieldsFrame(1, [[":status", "103"]]),
      frame(1, 0, 1, head.slice(0, 5)),
      frame(9, 0, 1, head.slice(5, 9)),
      frame(9, 4, 1, head.slice(9)),
      frame(0, 8, 1, concat(Uint8Array.of(3), SERVING, new Uint8Array(3))),
      frame(1, 5, 1, trailers),
      goaway(1),
    ];
  })(),
];

Deno.test("Good answers, as they are, say SERVING to the agent and to the second reading", () => {
  for (const frames of GOOD_ANSWERS) {
    const bytes = concat(...frames);
    assert.equal(agentReads([bytes]), "SERVING");
    assert.ok(saysServing(bytes));
  }
});

/** Changes of the frames as such. */
const frameChange = fc.tuple(
  fc.constantFrom("drop", "repeat", "swap", "stranger"),
  fc.nat(),
  fc.nat(),
  fc.constantFrom(
    frame(0xfa, 0, 1, new Uint8Array(3)),
    resetStream(1, 7),
    goaway(0),
    goaway(1),
    settingsOf([3, 0]),
    settingsOf([4, 0]),
    fieldsFrame(1, [[":status", "200"]]),
    fieldsFrame(1, [["grpc-status", "0"]], { endStream: true }),
    fieldsFrame(1, [["grpc-status", "14"]]),
    data(1, Uint8Array.of(0)),
    data(1, SERVING, { endStream: true }),
    data(3, SERVING),
    frame(9, 4, 1),
  ),
);

/** Changes of the bytes. */
const byteChange = fc.tuple(
  fc.constantFrom("set", "flip", "insert", "remove", "cut"),
  fc.nat(),
  fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 4, 5, 8, 9, 0x88, 0x20, 0x3f, 0x7f, 0x80, 0xff)),
);

type FrameChange = ReturnType<typeof frameChange.generate>["value"];
type ByteChange = ReturnType<typeof byteChange.generate>["value"];

function mutated(
  good: readonly Uint8Array[],
  frameChanges: readonly FrameChange[],
  byteChanges: readonly ByteChange[],
): Uint8Array {
  const frames = [...good];
  for (const [how, from, to, stranger] of frameChanges) {
    const at = from % (frames.length + 1);
    const [taken] = frames.slice(at, at + 1);
    if (how === "stranger") frames.splice(at, 0, stranger);
    else if (taken === undefined) continue;
    else if (how === "drop") frames.splice(at, 1);
    else if (how === "repeat") frames.splice(to % (frames.length + 1), 0, taken);
    else frames.splice(to % frames.length, 0, ...frames.splice(at, 1));
  }
  const bytes = [...concat(...frames)];
  for (const [how, where, byte] of byteChanges) {
    const at = bytes.length === 0 ? 0 : where % bytes.length;
    if (how === "set") bytes[at] = byte;
    else if (how === "flip") bytes[at] = (bytes[at] ?? 0) ^ (1 << byte % 8);
    else if (how === "insert") bytes.splice(at, 0, byte);
    else if (how === "remove") bytes.splice(at, 1 + byte % 3);
    else bytes.length = at;
  }
  return Uint8Array.from(bytes);
}

/** What a GOAWAY or a limit of no streams means may depend on what comes in one read with it. */
function dependsOnReads(bytes: Uint8Array): boolean {
  return new FrameReader().push(bytes).some(({ type, payload }) =>
    type === 7 || type === 4 && payload.length > 0
  );
}

Deno.test("No change of a good answer makes the agent throw, or say SERVING where the second reading does not", () => {
  let serving = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...GOOD_ANSWERS),
      fc.array(frameChange, { maxLength: 2 }),
      fc.array(byteChange, { maxLength: 3 }),
      fc.integer({ min: 1, max: 40 }),
      (good, frameChanges, byteChanges, size) => {
        const bytes = mutated(good, frameChanges, byteChanges);
        const whole = agentReads([bytes]);
        const cut = agentReads(partsOf(bytes, size));
        if (!dependsOnReads(bytes)) assert.equal(cut.slice(0, 20), whole.slice(0, 20));
        if (whole !== "SERVING" && cut !== "SERVING") return;
        serving++;
        assert.ok(saysServing(bytes));
      },
    ),
    { numRuns: 4000 },
  );
  assert.ok(serving > 100, `Only ${serving} answers were good`);
});

Deno.test("No random bytes make the agent throw, or say SERVING", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, greeted) => {
      const all = greeted ? concat(settings(), bytes) : bytes;
      assert.notEqual(agentReads([all]), "SERVING");
    }),
    { numRuns: 2000 },
  );
});
