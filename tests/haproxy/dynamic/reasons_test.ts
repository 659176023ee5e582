// What `show stat` and the log say of a server that is down by tcp-check: the agent's words, with and without
// reply_reason, and with the words of not_serving_reply.

import assert from "node:assert/strict";
import { LONG_DEADLINES, startAgent } from "../../lab/agent/agent_process.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import { DYNAMIC_EXAMPLES } from "../../lab/haproxy/placed_examples.ts";
import { testSideBySide } from "../../lab/haproxy/test_with_haproxy.ts";
import { type CheckedServer, waitForServer } from "../../lab/haproxy/wait_for_server.ts";
import { freePort } from "../../lab/machine/free_port.ts";

testSideBySide("last_chk has the agent's words, however it is told to reply", [], async (start) => {
  await using backend = await startHealthBackend({
    services: { "": "SERVING", stock: "NOT_SERVING" },
  });
  // HAProxy logs the first reason alone: no check may end for want of time.
  await using plain = await startAgent({ flags: [...LONG_DEADLINES] });
  await using draining = await startAgent({
    flags: [...LONG_DEADLINES, "--reply-reason", "--not-serving-reply", "drain"],
  });
  await using maintaining = await startAgent({
    flags: [...LONG_DEADLINES, "--not-serving-reply", "maint"],
  });
  const address = `127.0.0.1:${backend.port}`;
  const gone = `127.0.0.1:${freePort()}`;
  const [ordinary, forDraining] = [await checkOf("a-records.cfg"), await checkOf("drain.cfg")];

  /** What each backend asks whom, how, and what its server is to look like. */
  const cases: {
    check: string;
    agentPort: number;
    server?: string;
    options?: string;
    looks: CheckedServer;
    logs?: RegExp;
  }[] = [
    { check: ordinary, agentPort: plain.port, looks: { status: "UP", checkStatus: "L7OK" } },
    { check: ordinary, agentPort: draining.port, looks: { status: "UP", checkStatus: "L7OK" } },
    {
      check: ordinary,
      agentPort: plain.port,
      options: " service=stock",
      looks: { status: "DOWN", checkStatus: "L7STS", lastCheck: "down" },
      logs: /is DOWN, reason: Layer7 wrong status, code: 0, info: "down", /,
    },
    {
      check: ordinary,
      agentPort: draining.port,
      options: " service=stock",
      looks: { status: "DOWN", checkStatus: "L7STS", lastCheck: "drain #NOT_SERVING" },
      logs: /info: "drain #NOT_SERVING", /,
    },
    {
      check: ordinary,
      agentPort: maintaining.port,
      options: " service=stock",
      looks: { status: "DOWN", checkStatus: "L7STS", lastCheck: "maint" },
    },
    {
      check: ordinary,
      agentPort: draining.port,
      options: " service=unknown",
      looks: { status: "DOWN", lastCheck: "down #rpc: NOT_FOUND: unknown service" },
    },
    {
      check: ordinary,
      agentPort: draining.port,
      options: " servise=stock",
      looks: { status: "DOWN", lastCheck: /^down #parse_error: an option is unknown / },
    },
    {
      check: ordinary,
      agentPort: plain.port,
      server: gone,
      looks: {
        status: "DOWN",
        checkStatus: "L4CON",
        lastCheck: /at step 1 of tcp-check \(connect\) comment: 'the server'$/,
      },
    },
    { check: forDraining, agentPort: plain.port, looks: { status: "UP", checkStatus: "L7OK" } },
    {
      check: forDraining,
      agentPort: plain.port,
      options: " service=stock",
      looks: { status: "DOWN", checkStatus: "L7STS", lastCheck: "down" },
    },
    { check: forDraining, agentPort: draining.port, looks: { status: "UP", checkStatus: "L7OK" } },
    {
      check: forDraining,
      agentPort: draining.port,
      options: " service=stock",
      looks: { status: "NOLB", checkStatus: "L7OKC", lastCheck: "drain #NOT_SERVING" },
      logs: /is stopping, reason: Layer7 check conditionally passed, code: 0, info: "drain #NOT_/,
    },
    {
      check: forDraining,
      agentPort: draining.port,
      options: " service=unknown",
      looks: { status: "DOWN", checkStatus: "L7STS", lastCheck: /^down #rpc: / },
    },
  ];
  const backends = cases.map(({ check, agentPort, server = address, options = "" }, index) =>
    `backend case${index}
${check.replace("port 5555", `port ${agentPort}`).replace('internal\\n"', `internal${options}\\n"`)}
  server one ${server} check inter 300ms fall 2 rise 1
`
  );
  await using stack = new AsyncDisposableStack();
  const haproxies = await start(stack, () => CONFIGURATION + backends.join("\n"));
  for (const haproxy of haproxies.values()) {
    for (const [index, { looks, logs }] of cases.entries()) {
      await waitForServer(haproxy, `case${index}`, looks);
      if (logs) {
        const lines = haproxy.log().split("\n").filter((line) => line.includes(`case${index}/`));
        assert.match(lines.join("\n"), logs);
      }
    }
  }
});

const CONFIGURATION = `defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  timeout check 20s

`;

/** The lines of an example that make its check. */
async function checkOf(example: string): Promise<string> {
  const text = await Deno.readTextFile(DYNAMIC_EXAMPLES + example);
  const [lines = ""] = /^ {2}option tcp-check\n[^]*?\n(?=\n)/m.exec(text) ?? [];
  assert.match(lines, /port 5555 /);
  return lines;
}
