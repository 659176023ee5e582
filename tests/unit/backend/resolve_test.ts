import assert from "node:assert/strict";
import { type BackendRules, parseBackendRules } from "../../../src/access/rules.ts";
import { DnsCache } from "../../../src/backend/dns_cache.ts";
import type { LookUp } from "../../../src/backend/name_lookup.ts";
import { Resolver } from "../../../src/backend/resolve.ts";
import { controlledNames } from "../../lab/unit/controlled_names.ts";

const FOUND: LookUp = { ok: true, addresses: ["10.0.0.1", "10.1.0.1"] };

function rules(...texts: string[]): BackendRules {
  const parsed = parseBackendRules(texts);
  assert.ok(parsed.ok);
  return parsed.rules;
}

const SILENT_MS = 60_000;

Deno.test("Resolver takes an IP address as it is, without a look-up", async () => {
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules(), new DnsCache(names), SILENT_MS);
  assert.deepEqual(await resolver.resolve("::1", 1), { ok: true, addresses: ["::1"] });
  assert.equal(begun.length, 0);
});

Deno.test("Resolver leaves only the addresses that may be connected to", async () => {
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules("10.1.0.0/16:443"), new DnsCache(names), SILENT_MS);
  const asked = resolver.resolve("api", 443);
  begun[0]?.end(FOUND);
  assert.deepEqual(await asked, { ok: true, addresses: ["10.1.0.1"] });
  const denied = resolver.resolve("elsewhere", 443);
  begun[1]?.end({ ok: true, addresses: ["10.2.0.1"] });
  assert.deepEqual(await denied, { ok: false, verdict: { kind: "denied" } });
});

Deno.test("Resolver does not look up what cannot be allowed", async () => {
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules("10.1.0.0/16:443"), new DnsCache(names), SILENT_MS);
  assert.deepEqual(await resolver.resolve("api", 444), { ok: false, verdict: { kind: "denied" } });
  assert.equal(begun.length, 0);
});

Deno.test("Resolver answers at once what needs no look-up or is known", async () => {
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules(), new DnsCache(names), SILENT_MS);
  assert.ok(!(resolver.resolve("10.0.0.9", 1) instanceof Promise));
  const first = resolver.resolve("api", 1);
  assert.ok(first instanceof Promise);
  begun[0]?.end(FOUND);
  await first;
  assert.deepEqual(resolver.resolve("api", 1), {
    ok: true,
    addresses: ["10.0.0.1", "10.1.0.1"],
  });
  assert.equal(begun.length, 1);
});

Deno.test("Resolver holds each address of a known name to rules that came later", async () => {
  const { begun, names } = controlledNames();
  const known = new DnsCache(names);
  const first = new Resolver(rules(), known, SILENT_MS).resolve("api", 1);
  begun[0]?.end(FOUND);
  await first;
  const stricter = new Resolver(rules("10.1.0.0/16"), known, SILENT_MS);
  assert.deepEqual(stricter.resolve("api", 1), { ok: true, addresses: ["10.1.0.1"] });
});

const FAILURES: readonly [Extract<LookUp, { ok: false }>["fault"], "dns" | "local"][] = [
  ["name", "dns"],
  ["name_server", "dns"],
  ["local", "local"],
];

for (const [fault, kind] of FAILURES) {
  Deno.test(`Resolver says ${kind} of a look-up that fails by the fault of ${fault}`, async () => {
    const { begun, names } = controlledNames();
    const resolver = new Resolver(rules(), new DnsCache(names), SILENT_MS);
    const asked = resolver.resolve("api", 1);
    begun[0]?.end({ ok: false, detail: "no", fault });
    assert.deepEqual(await asked, { ok: false, verdict: { kind, detail: "no" } });
  });
}
