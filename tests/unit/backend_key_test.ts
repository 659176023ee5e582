import assert from "node:assert/strict";
import { backendKey, readBackendKey } from "../../src/protocol/backend_key.ts";
import { parseRequest } from "../../src/protocol/request.ts";

for (
  const line of [
    "10.0.0.1 50051 no-ssl api.internal",
    "[::1] 1 no-ssl a:1 service=a.b.C",
    "api.example 443 ssl api.example",
    "api.example 443 ssl api.example:8443 tls=inner service=x fall=3",
  ]
) {
  Deno.test(`readBackendKey() reads back what is asked by ${line}`, () => {
    const parsed = parseRequest(line);
    assert.ok(parsed.ok);
    const { host, port, tls, tlsProfile, authority, service } = parsed.request;
    assert.deepEqual(readBackendKey(backendKey(parsed.request)), {
      host,
      port,
      tls,
      tlsProfile,
      authority,
      service,
    });
  });
}
