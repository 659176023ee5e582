import assert from "node:assert/strict";
import { type BackendRules, parseBackendRules } from "../../../src/access/rules.ts";
import type { LookUpResult } from "../../../src/backend/name_look_up.ts";
import {
  DnsCache,
  type PendingResolution,
  type Resolution,
  Resolver,
} from "../../../src/backend/resolve.ts";
import { controlledNames } from "../../lab/unit/controlled_names.ts";
import { FakeTime } from "../../lab/unit/fake_time.ts";

const FOUND: LookUpResult = { ok: true, addresses: ["10.0.0.1", "10.1.0.1"] };

function rules(...texts: string[]): BackendRules {
  const parsed = parseBackendRules(texts);
  assert.ok(parsed.ok);
  return parsed.rules;
}

const SILENT_MS = 60_000;

/** @returns what comes of it in the end */
async function resolutionOf(resolved: Resolution | PendingResolution): Promise<Resolution> {
  return "resolution" in resolved ? await resolved.resolution : resolved;
}

Deno.test("Resolver takes an IP address as it is, without a look-up", async () => {
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules(), new DnsCache(names), SILENT_MS);
  assert.deepEqual(await resolutionOf(resolver.resolve("::1", 1)), {
    ok: true,
    addresses: ["::1"],
  });
  assert.equal(begun.length, 0);
});

Deno.test("Resolver leaves only the addresses that may be connected to", async () => {
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules("10.1.0.0/16:443"), new DnsCache(names), SILENT_MS);
  const asked = resolver.resolve("api", 443);
  begun[0]?.end(FOUND);
  assert.deepEqual(await resolutionOf(asked), { ok: true, addresses: ["10.1.0.1"] });
  const denied = resolver.resolve("elsewhere", 443);
  begun[1]?.end({ ok: true, addresses: ["10.2.0.1"] });
  assert.deepEqual(await resolutionOf(denied), { ok: false, verdict: { kind: "denied" } });
});

Deno.test("Resolver does not look up what cannot be allowed", async () => {
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules("10.1.0.0/16:443"), new DnsCache(names), SILENT_MS);
  assert.deepEqual(await resolutionOf(resolver.resolve("api", 444)), {
    ok: false,
    verdict: { kind: "denied" },
  });
  assert.equal(begun.length, 0);
});

Deno.test("Resolver answers at once what needs no look-up or is known", async () => {
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules(), new DnsCache(names), SILENT_MS);
  assert.ok("ok" in resolver.resolve("10.0.0.9", 1));
  const first = resolver.resolve("api", 1);
  assert.ok("resolution" in first);
  begun[0]?.end(FOUND);
  await first.resolution;
  assert.deepEqual(resolver.resolve("api", 1), {
    ok: true,
    addresses: ["10.0.0.1", "10.1.0.1"],
  });
  assert.equal(begun.length, 1);
});

Deno.test("Resolver applies rules that came later to the addresses of a known name", async () => {
  const { begun, names } = controlledNames();
  const known = new DnsCache(names);
  const first = new Resolver(rules(), known, SILENT_MS).resolve("api", 1);
  begun[0]?.end(FOUND);
  await resolutionOf(first);
  const stricter = new Resolver(rules("10.1.0.0/16"), known, SILENT_MS);
  assert.deepEqual(stricter.resolve("api", 1), { ok: true, addresses: ["10.1.0.1"] });
});

Deno.test("Resolver shows the look-up that it waits for only where no addresses of the name are known", async () => {
  using time = new FakeTime();
  const { begun, names } = controlledNames();
  const resolver = new Resolver(rules(), new DnsCache(names), SILENT_MS);
  const first = resolver.resolve("api", 1);
  assert.ok("resolution" in first);
  assert.equal(first.firstLookUp, names.pending("api"));
  assert.notEqual(first.firstLookUp, undefined);
  begun[0]?.end(FOUND);
  await first.resolution;
  time.passes(5000);
  const again = resolver.resolve("api", 1);
  assert.ok("resolution" in again);
  assert.equal(again.firstLookUp, undefined);
  begun[1]?.end(FOUND);
  await again.resolution;
});

const FAILURES: readonly [Extract<LookUpResult, { ok: false }>["fault"], "dns" | "local"][] = [
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
    assert.deepEqual(await resolutionOf(asked), { ok: false, verdict: { kind, detail: "no" } });
  });
}

const FIRST: LookUpResult = { ok: true, addresses: ["10.0.0.1"] };
const SECOND: LookUpResult = { ok: true, addresses: ["10.0.0.2"] };
const GONE: LookUpResult = { ok: false, detail: "ENOTFOUND", fault: "name" };
const SERVER_FAILED: LookUpResult = { ok: false, detail: "EAI_AGAIN", fault: "name_server" };
const LACK: LookUpResult = { ok: false, detail: "EMFILE", fault: "local" };
const PATIENCE_MS = 60_000;

/** Lets what has ended be noticed. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

/** A cache that knows a name, and has known it for so long. */
async function knowing(answer: LookUpResult, time: FakeTime, ageMs: number) {
  const { begun, names } = controlledNames();
  const cache = new DnsCache(names);
  const asked = cache.find("api", PATIENCE_MS);
  begun[0]?.end(answer);
  await asked;
  time.passes(ageMs);
  return { begun, cache };
}

Deno.test("DnsCache gives an answer at once for five seconds, and asks again after them", async () => {
  using time = new FakeTime();
  const { begun, cache } = await knowing(FIRST, time, 4999);
  assert.equal(cache.find("api", PATIENCE_MS), FIRST);
  assert.equal(begun.length, 1);
  time.passes(1);
  const asked = cache.find("api", PATIENCE_MS);
  assert.equal(begun.length, 2);
  begun[1]?.end(SECOND);
  assert.deepEqual(await asked, SECOND);
  assert.equal(cache.find("api", PATIENCE_MS), SECOND);
});

Deno.test("DnsCache counts an answer's age from when it was asked for", async () => {
  using time = new FakeTime();
  const { begun, names } = controlledNames();
  const cache = new DnsCache(names);
  const asked = cache.find("api", PATIENCE_MS);
  time.passes(5000);
  begun[0]?.end(FIRST);
  assert.deepEqual(await asked, FIRST);
  void cache.find("api", PATIENCE_MS);
  assert.equal(begun.length, 2);
  begun[1]?.end(FIRST);
});

Deno.test("DnsCache asks once for all that want a name meanwhile, known or not", async () => {
  using time = new FakeTime();
  const { begun, names } = controlledNames();
  const cache = new DnsCache(names);
  const first = [cache.find("api", 1), cache.find("api", PATIENCE_MS)];
  assert.equal(begun.length, 1);
  begun[0]?.end(FIRST);
  assert.deepEqual(await Promise.all(first), [FIRST, FIRST]);
  time.passes(5000);
  const again = [cache.find("api", PATIENCE_MS), cache.find("api", PATIENCE_MS)];
  assert.equal(begun.length, 2);
  begun[1]?.end(SECOND);
  assert.deepEqual(await Promise.all(again), [SECOND, SECOND]);
});

Deno.test("DnsCache waits without limit for a name that it does not know", async () => {
  using time = new FakeTime();
  const { begun, names } = controlledNames();
  const cache = new DnsCache(names);
  const asked = cache.find("api", 0);
  time.passes(100_000);
  begun[0]?.end(FIRST);
  assert.deepEqual(await asked, FIRST);
});

Deno.test("DnsCache gives the last answer when the look-up takes too long", async () => {
  using time = new FakeTime();
  const { begun, cache } = await knowing(FIRST, time, 5000);
  assert.deepEqual(await cache.find("api", 1), FIRST);
  time.passes(10_000);
  // The same look-up is still under way and has had its time.
  assert.equal(cache.find("api", 1), FIRST);
  assert.equal(begun.length, 2);
  begun[1]?.end(SECOND);
});

for (
  const [what, failure] of [["cannot be asked", SERVER_FAILED], [
    "is not reached for want of descriptors",
    LACK,
  ]] as const
) {
  Deno.test(`DnsCache keeps the last answer while the name server ${what}`, async () => {
    using time = new FakeTime();
    const { begun, cache } = await knowing(FIRST, time, 5000);
    for (let nth = 1; nth <= 3; nth++) {
      const asked = cache.find("api", PATIENCE_MS);
      begun[nth]?.end(failure);
      assert.deepEqual(await asked, FIRST);
      time.passes(60_000);
    }
    assert.equal(begun.length, 4, "each time it was asked again");
  });

  Deno.test(`DnsCache says so of an unknown name when the name server ${what}`, async () => {
    const { begun, names } = controlledNames();
    const cache = new DnsCache(names);
    const asked = cache.find("api", PATIENCE_MS);
    begun[0]?.end(failure);
    assert.deepEqual(await asked, failure);
  });
}

Deno.test("DnsCache forgets a name that is gone", async () => {
  using time = new FakeTime();
  const { begun, cache } = await knowing(FIRST, time, 5000);
  const asked = cache.find("api", PATIENCE_MS);
  begun[1]?.end(GONE);
  await turn();
  begun[2]?.end(GONE); // of IPv4 alone
  assert.deepEqual(await asked, GONE);
  const again = cache.find("api", PATIENCE_MS);
  begun[3]?.end(SERVER_FAILED);
  assert.deepEqual(await again, SERVER_FAILED, "the old address is not given any more");
});

Deno.test("DnsCache gives up the last answer when the agent is too busy to ask for long", async () => {
  using time = new FakeTime();
  const { begun, cache } = await knowing(FIRST, time, 5000);
  // Names of other domains that hang leave no thread.
  for (let nth = 0; nth < 24; nth++) void cache.find(`api.domain-${nth}`, PATIENCE_MS);
  for (const { name, end } of begun.slice(1)) if (name !== "api") end(FIRST);
  await turn();
  time.passes(5000);
  for (let nth = 0; nth < 24; nth++) void cache.find(`api.domain-${nth}`, 0);
  const hanging = begun.slice(-24);
  assert.equal(cache.find("api", 0), FIRST);
  time.passes(30_000);
  assert.equal(cache.find("api", 0), FIRST);
  time.passes(1);
  const found = await cache.find("api", 0);
  assert.ok(!found.ok && found.fault === "local");
  for (const { end } of hanging) end(FIRST);
  await turn();
  begun.at(-1)?.end(SECOND);
  await turn();
  assert.deepEqual(cache.find("api", 0), SECOND);
});
