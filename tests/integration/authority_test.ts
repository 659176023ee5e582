import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";

Deno.test("the authority and the service arrive at the backend as they were asked for", async () => {
  await using backend = await startHealthBackend({
    services: { "": "SERVING", "orders.v1.Orders": "SERVING" },
  });
  await withAgent({}, async (agent) => {
    const asked = [
      { authority: "orders.test" },
      { authority: "users.test" },
      { authority: "orders.test:8443", service: "orders.v1.Orders" },
      { authority: "orders.test" },
    ];
    for (const request of asked) assert.equal(await agent.ask(backend.line(request)), "up\n");
    assert.deepEqual(
      await callsOf(backend),
      asked.map(({ authority, service = "" }) => ({ authority, service })),
    );
  });
});

Deno.test("a second authority on an address is not taken for the first, when both are asked at once", async () => {
  await using backend = await startHealthBackend({ delayMs: 200 });
  await withAgent({}, async (agent) => {
    const authorities = Array.from({ length: 10 }, (_, index) => `host-${index}.test`);
    const answers = authorities.map((authority) => agent.ask(backend.line({ authority })));
    assert.deepEqual(await Promise.all(answers), authorities.map(() => "up\n"));
    const seen = (await callsOf(backend)).map(({ authority }) => authority).sort();
    assert.deepEqual(seen, authorities);
  });
});

async function callsOf(backend: HealthBackend) {
  const { recent } = await backend.report();
  return recent.map(({ authority, service }) => ({ authority, service }));
}
