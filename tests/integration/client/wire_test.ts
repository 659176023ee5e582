// What the agent sends to a backend, byte for byte, and how it keeps to the limits that a backend sets it.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import {
  concat,
  data,
  frame,
  FrameFlag,
  FrameType,
  grpcMessage,
  headerBlock,
  headers,
  headersInParts,
  ping,
  readSettings,
  Setting,
  settings,
  windowUpdate,
} from "../../lab/backends/http2/frames.ts";
import { errorCodeOf } from "../../lab/backends/http2/wire_observer.ts";
import { healthAnswer, responseHeaders, trailers } from "../../lab/backends/peers/http2_peer.ts";
import { type ClientFrame, ScriptedServer } from "../../lab/backends/peers/scripted_server.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { sideBySide } from "../../lab/testing/side_by_side.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

testPlainAndTls(
  "a first request goes out in one write, before the server has said anything, and a later one too",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      greet: async (connection) => {
        await eventually("the request", () => connection.calls[0]?.data.length);
        await connection.send(settings());
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      for (let nth = 1; nth <= 2; nth++) assert.equal(await agent.ask(backend.line()), "up\n");
    });
    assert.equal(backend.connections.length, 1);
    const [connection] = backend.connections;
    assert.ok(connection);
    const [first] = connection.frames;
    assert.equal(first?.type, FrameType.SETTINGS);
    const values = readSettings(first.payload);
    assert.equal(values.get(Setting.ENABLE_PUSH), 0);
    assert.ok(values.has(Setting.MAX_HEADER_LIST_SIZE));
    assert.ok(!values.has(Setting.HEADER_TABLE_SIZE), "Some servers fail on another size");
    for (const call of connection.calls) {
      const isOfCall = ({ streamId }: ClientFrame) => streamId === call.streamId;
      const [head, body, ...more]: ClientFrame[] = connection.frames.filter(isOfCall);
      assert.deepEqual([head?.type, body?.type], [FrameType.HEADERS, FrameType.DATA]);
      assert.deepEqual(more, []);
      assert.equal(head?.at, body?.at, "HEADERS and DATA come in one read");
      if (call.nth === 1) assert.equal(head?.at, first.at, "And so do preface and SETTINGS");
    }
    assert.deepEqual(backend.violations, []);
  },
);

testPlainAndTls(
  "the header fields of a request are gRPC's, with the metadata, whose credentials no table ever holds",
  async ({ ssl, flags, server }) => {
    await using backend = await ScriptedServer.start(server);
    await using directory = await TempDirectory.create();
    const config = await directory.write(
      "agent.toml",
      '[metadata]\nauthorization = "Bearer secret"\nx-api-key = "key"\n',
    );
    await withAgent({ flags: [...flags, "--config", config] }, async (agent) => {
      const authorities = ["backend.test", "BACKEND.test:8443"];
      for (const authority of [...authorities, ...authorities]) {
        assert.equal(await agent.ask(backend.line({ authority })), "up\n");
      }
    });
    for (const [index, { fields }] of backend.calls.entries()) {
      const names = fields.map(({ name }) => name);
      const value = (name: string) => fields.find((field) => field.name === name)?.value;
      assert.equal(value(":method"), "POST");
      assert.equal(value(":scheme"), ssl ? "https" : "http");
      assert.equal(value(":path"), "/grpc.health.v1.Health/Check");
      assert.equal(value(":authority"), index % 2 === 0 ? "backend.test" : "BACKEND.test:8443");
      assert.equal(value("te"), "trailers");
      assert.match(value("content-type") ?? "", /^application\/grpc(\+proto)?$/);
      assert.match(value("user-agent") ?? "", /^haproxy-grpc-agent\b/);
      assert.match(value("grpc-timeout") ?? "", /^\d{1,8}[HMSmun]$/);
      assert.equal(value("x-api-key"), "key");
      assert.equal(value("authorization"), "Bearer secret");
      const regular = names.findIndex((name) => !name.startsWith(":"));
      assert.ok(names.slice(regular).every((name) => /^[a-z0-9_.-]+$/.test(name)), `${names}`);
      assert.equal(new Set(names).size, names.length, `Twice in ${names}`);
      for (const secret of ["authorization", "x-api-key"]) {
        const field = fields.find(({ name }) => name === secret);
        assert.equal(field?.neverIndexed, true, `${secret} may be indexed`);
      }
    }
  },
);

testPlainAndTls(
  "a window of 0 for requests, or of a byte at a time, is waited for and never overrun",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...{ ...server, settings: { INITIAL_WINDOW_SIZE: 0 } },
      begin: async ({ streamId, connection }) => {
        for (let byte = 0; byte < 3; byte++) {
          await connection.pause(20);
          await connection.send(windowUpdate(streamId, 1));
        }
        await connection.send(windowUpdate(streamId, 1000));
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      for (let nth = 1; nth <= 4; nth++) {
        assert.equal(await agent.ask(backend.line({ option: "service=a.B" })), "up\n");
      }
      await eventually(
        "SETTINGS to be acknowledged",
        () => backend.open.every(({ observer }) => observer.unacknowledgedSettings.length === 0),
      );
    });
    assert.deepEqual(backend.violations, []);
    assert.equal(backend.connections.length, 1);
  },
);

testPlainAndTls(
  "windows are given back in time, also for calls that were given up, so a kept connection lives on",
  async ({ flags, server }) => {
    const fields = new Uint8Array(4000);
    fields.set([0x08, 1, 0x12, 0x9b, 0x1f]); // SERVING, and a field of 3995 bytes that nobody knows
    const big = (id: number) =>
      concat(responseHeaders(id), data(id, grpcMessage(fields)), trailers(id));
    let smallest = Infinity;
    await using backend = await ScriptedServer.start({
      ...server,
      answer: async (call) => {
        const { connection, nth, streamId } = call;
        // Every fifth comes when its check has given up.
        if (nth % 5 === 0) await call.pause(250);
        smallest = Math.min(smallest, connection.observer.credit);
        await connection.send(big(streamId));
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      using client = await agent.connect();
      for (let nth = 1; nth <= 60; nth++) {
        const late = nth % 5 === 0;
        const reply = await client.ask(backend.line({ option: late ? "timeout=120" : "" }));
        if (!late) assert.equal(reply, "up\n", `Check ${nth}`);
      }
      assert.ok(smallest > 16_384, `Only ${smallest} bytes were left in the window`);
      assert.deepEqual(backend.violations, []);
      const [first] = backend.connections;
      assert.equal(first?.isClosed, false, "The first connection lives");
    });
  },
);

testPlainAndTls(
  "a call given up is reset with CANCEL, and what comes of it later harms no other call",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      answer: async (call) => {
        const { connection, streamId, nth } = call;
        if (nth !== 2) return await call.serve();
        await eventually("the reset", () => connection.frames.some((frame) => frame.type === 3));
        // It fills HPACK's dynamic table, as a server may that has not read the reset yet.
        const text = (value: string) => [value.length, ...new TextEncoder().encode(value)];
        const block = [
          0x88,
          0x40,
          ...text("x-late"),
          ...text("1"),
          0x5f,
          ...text("application/grpc"),
        ];
        const flags = FrameFlag.END_HEADERS;
        await connection.send(
          frame(FrameType.HEADERS, flags, streamId, Uint8Array.from(block)),
          data(streamId, new Uint8Array(9000)),
          trailers(streamId),
        );
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      assert.equal(await agent.ask(backend.line({ option: "timeout=800" })), "down\n");
      const [connection] = backend.connections;
      const reset = await eventually(
        "the reset",
        () => connection?.frames.find(({ type }) => type === FrameType.RST_STREAM),
      );
      assert.equal(errorCodeOf(reset), "CANCEL");
      for (let nth = 1; nth <= 3; nth++) assert.equal(await agent.ask(backend.line()), "up\n");
      assert.equal(connection?.isClosed, false, "The connection lives on");
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "a connection that the agent closes ends with GOAWAY(NO_ERROR)",
  async ({ flags, server }) => {
    await using used = await ScriptedServer.start(server);
    await using unused = await ScriptedServer.start(server);
    await withAgent({ flags: [...flags, "--channel-idle-timeout", "1000"] }, async (agent) => {
      assert.equal(await agent.ask(unused.line()), "up\n");
      await unused.connections[0]?.closed;
      assert.equal(await agent.ask(used.line()), "up\n");
    });
    await used.connections[0]?.closed; // by the end of the agent
    for (const { connections, violations } of [unused, used]) {
      const last = connections[0]?.frames.at(-1);
      assert.equal(last?.type, FrameType.GOAWAY);
      assert.equal(errorCodeOf(last), "NO_ERROR");
      assert.equal(connections[0]?.endedByClient, "close");
      assert.deepEqual(violations, []);
    }
  },
);

/** What costs whoever reads it: each is sent without end, to be read after "a backend that sends". */
const FLOODS: readonly (readonly [name: string, frames: (id: number) => Uint8Array])[] = [
  ["PINGs", () => ping()],
  ["SETTINGS", () => settings()],
  ["acknowledgements of SETTINGS", () => frame(FrameType.SETTINGS, FrameFlag.ACK, 0)],
  ["frames of an unknown type", () => frame(0xfa, 0, 0)],
  ["PRIORITY", (id) => frame(FrameType.PRIORITY, 0, id, Uint8Array.of(0, 0, 0, 0, 1))],
  ["WINDOW_UPDATE", () => windowUpdate(0, 1)],
  ["empty DATA", (id) => data(id, new Uint8Array())],
  ["informational answers", (id) => headers(id, { ":status": "103" })],
  ["CONTINUATION", (id) => frame(FrameType.CONTINUATION, 0, id, headerBlock({ "x-a": "b" }))],
];

testPlainAndTls(
  "a backend that floods is down in time, is told ENHANCE_YOUR_CALM and left, and others stay up",
  async ({ flags, server }) => {
    await using healthy = await ScriptedServer.start(server);
    await withAgent({ flags: [...flags] }, async (agent) => {
      const wrong: string[] = [];
      await sideBySide(FLOODS, 3, async ([name, make]) => {
        await using backend = await ScriptedServer.start({
          ...server,
          answer: async ({ connection, streamId }) => {
            if (name === "CONTINUATION") {
              await connection.send(frame(FrameType.HEADERS, 0, streamId, headerBlock({ a: "b" })));
            } else if (name === "empty DATA") await connection.send(responseHeaders(streamId));
            const many = concat(...Array.from({ length: 600 }, () => make(streamId)));
            // Small enough to be read whole: who closes with bytes unread resets the connection, and
            // then nobody hears its GOAWAY.
            while (!connection.isClosed) {
              await connection.send(many);
              await connection.pause(200);
            }
          },
        });
        const { reply, ms } = await agent.askTimed(backend.line());
        if (reply !== "down\n" || ms > 2000) wrong.push(`${name}: ${reply} (${Math.round(ms)} ms)`);
        await eventually(`the one with ${name} to be left`, () => backend.open.length === 0);
        const away = backend.framesOf("GOAWAY").map(errorCodeOf);
        if (!away.includes("ENHANCE_YOUR_CALM")) wrong.push(`${name}: GOAWAY(${away})`);
        if (await agent.ask(healthy.line()) !== "up\n") wrong.push(`${name}: another is down`);
      });
      assert.deepEqual(wrong, []);
    });
  },
);

testPlainAndTls("a header block beyond 16 KiB is down at once", async ({ flags, server }) => {
  await using backend = await ScriptedServer.start({
    ...server,
    answer: ({ streamId, connection }) => {
      const block = headerBlock([
        [":status", "200"],
        ["content-type", "application/grpc"],
        ["x-long", "a".repeat(15_000)],
        ["x-longer", "a".repeat(15_000)],
      ]);
      const parts = [block.subarray(0, 16_000), block.subarray(16_000)];
      return connection.send(headersInParts(streamId, parts), healthAnswer(streamId));
    },
  });
  await withAgent({ flags: [...flags, "--reply-reason", "true"] }, async (agent) => {
    const { reply, ms } = await agent.askTimed(backend.line());
    assert.match(reply, /^down #(rpc|backend_unreachable): .*header/i);
    assert.ok(ms < 1000, `The answer took ${Math.round(ms)} ms`);
  });
});
