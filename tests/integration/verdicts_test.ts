import assert from "node:assert/strict";
import { type Counted, counting, withAgent } from "../lab/agent/with_agent.ts";
import type { HealthBackend, HealthStatus } from "../lab/backends/libraries/health_backend.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import {
  startGoBackend,
  startPythonBackend,
  testWithGo,
  testWithPython,
} from "../lab/backends/libraries/library_backends.ts";
import { HTTP2_FAULTS } from "../lab/backends/peers/faulty_peers.ts";

const NOT_FOUND = 5;

/** What a backend says of a service, and what the agent makes of it. */
const SAID: { status: HealthStatus; reply: string; counted: Counted }[] = [
  { status: "SERVING", reply: "up\n", counted: { up: 1 } },
  { status: "NOT_SERVING", reply: "down\n", counted: { down: 1 } },
  { status: "UNKNOWN", reply: "down\n", counted: { down: 1 } },
  { status: "SERVICE_UNKNOWN", reply: "down\n", counted: { down: 1 } },
  { status: 4, reply: "down\n", counted: { down: 1 } },
  { status: 99, reply: "down\n", counted: { down: 1 } },
  { status: 999, reply: "down\n", counted: { down: 1 } },
];

/** Codes with which a backend may refuse the RPC: of the caller, of itself, and those grpc-js uses too. */
const CODES = [1, 2, 3, 7, 8, 12, 13, 14, 16];

async function checkAllThatABackendSays(
  start: (options: { services: Record<string, HealthStatus> }) => Promise<HealthBackend>,
): Promise<void> {
  await using backend = await start({ services: { "": "SERVING", "some.Service": "SERVING" } });
  await withAgent({}, async (agent) => {
    for (const { status, reply, counted } of SAID) {
      for (const service of ["", "some.Service"]) {
        await backend.setStatus(service, status);
        const line = backend.line(service === "" ? {} : { service });
        const seen = await counting(agent, 1, async () => {
          assert.equal(await agent.ask(line), reply, `${status} of "${service}"`);
        });
        assert.deepEqual(seen, counted, `${status} of "${service}"`);
      }
    }
    for (const code of [NOT_FOUND, ...CODES]) {
      await backend.setError("some.Service", code);
      const seen = await counting(agent, 1, async () => {
        assert.equal(await agent.ask(backend.line({ service: "some.Service" })), "down\n");
      });
      assert.deepEqual(seen, { error: 1, rpc: 1 }, `RPC status ${code}`);
    }
    const seen = await counting(agent, 1, async () => {
      assert.equal(await agent.ask(backend.line({ service: "never.heard.Of" })), "down\n");
    });
    assert.deepEqual(seen, { error: 1, rpc: 1 }, "A service that the backend does not know");
    await backend.setStatus("", "SERVING");
    assert.equal(await agent.ask(backend.line()), "up\n");
  });
}

Deno.test("what a grpc-js backend says of itself is answered and counted as the protocol has it", async () => {
  await checkAllThatABackendSays(startHealthBackend);
});

testWithPython(
  "what a C core backend says of itself is answered and counted as the protocol has it",
  async () => {
    await checkAllThatABackendSays(startPythonBackend);
  },
);

testWithGo(
  "what a Go backend says of itself is answered and counted as the protocol has it",
  async () => {
    await checkAllThatABackendSays(startGoBackend);
  },
);

Deno.test("an invalid line is down, counted as parse_error, and asks nobody", async (t) => {
  await using backend = await startHealthBackend();
  const { port } = backend;
  const invalid = [
    "\n",
    " \n",
    "hello\n",
    `127.0.0.1 ${port} no-ssl\n`,
    `127.0.0.1 ${port} no-ssl backend.test more\n`,
    `127.0.0.1 ${port} maybe backend.test\n`,
    `127.0.0.1 ${port} NO-SSL backend.test\n`,
    `127.0.0.1 0 no-ssl backend.test\n`,
    `127.0.0.1 65536 no-ssl backend.test\n`,
    `127.0.0.1 +${port} no-ssl backend.test\n`,
    `127.0.0.1 0${port} no-ssl backend.test\n`,
    `dns:127.0.0.1 ${port} no-ssl backend.test\n`,
    `unix:/tmp/socket ${port} no-ssl backend.test\n`,
    `user@127.0.0.1 ${port} no-ssl backend.test\n`,
    `127.0.0.1 ${port} no-ssl backend.test service=a service=b\n`,
    `127.0.0.1 ${port} no-ssl backend.test colour=blue\n`,
    `127.0.0.1 ${port} no-ssl back\u0000end.test\n`,
    "GET / HTTP/1.1\r\n",
  ];
  await withAgent({}, async (agent) => {
    for (const line of invalid) {
      await t.step(JSON.stringify(line.replace(String(port), "PORT")), async () => {
        const seen = await counting(agent, 1, async () => {
          assert.equal(await agent.ask(line), "down\n");
        });
        assert.deepEqual(seen, { error: 1, parse_error: 1 });
      });
    }
    assert.equal((await backend.report()).calls, 0);
    assert.equal(await agent.ask(backend.line()), "up\n");
  });
});

Deno.test("an answer that gRPC cannot make sense of has a reason that people can", async () => {
  const fault = HTTP2_FAULTS.find(({ name }) => name.endsWith("a status that is no number"));
  assert.ok(fault);
  await using peer = await fault.start();
  await withAgent({ flags: ["--reply-reason", "true"] }, async (agent) => {
    const reply = await agent.ask(`127.0.0.1 ${peer.port} no-ssl backend.test\n`);
    assert.match(reply, /^down #rpc: UNKNOWN: \S/);
    assert.doesNotMatch(reply, /NaN|undefined/);
  });
});
