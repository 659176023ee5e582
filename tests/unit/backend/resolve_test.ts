import assert from "node:assert/strict";
import { type BackendRules, parseBackendRules } from "../../../src/access/rules.ts";
import { DnsCache, type LookUp, NameLookup, Resolver } from "../../../src/backend/resolve.ts";
import { controlledNames } from "../../lab/unit/controlled_names.ts";
import { FakeTime } from "../../lab/unit/fake_time.ts";

const FOUND: LookUp = { ok: true, addresses: ["10.0.0.1", "10.1.0.1"] };

Deno.test("NameLookup looks a name up once for all that ask meanwhile, and anew later", async () => {
  const { begun, names } = controlledNames();
  const asked = [names.find("a"), names.find("a")];
  assert.equal(begun.length, 1);
  begun[0]?.end(FOUND);
  assert.deepEqual(await Promise.all(asked), [FOUND, FOUND]);
  names.find("a");
  assert.equal(begun.length, 2);
});

Deno.test("NameLookup has no more than 16 look-ups under way, and takes the others in their turn", async () => {
  const { begun, names } = controlledNames();
  const asked = Array.from({ length: 20 }, (_, index) => names.find(`${index}`));
  assert.equal(begun.length, 16);
  begun[3]?.end(FOUND);
  await asked[3];
  assert.deepEqual(begun.slice(16).map(({ name }) => name), ["16"]);
  for (let index = 0; index < 20; index++) {
    begun[index]?.end(FOUND);
    await asked[index];
  }
  assert.equal(begun.length, 20);
  names.find("again");
  assert.equal(begun.length, 21, "the turns were given back");
});

Deno.test("NameLookup finds the names of this machine, and says why it does not find others", async () => {
  const names = new NameLookup();
  const local = await names.find("localhost");
  assert.ok(local.ok && local.addresses.some((address) => ["127.0.0.1", "::1"].includes(address)));
  assert.equal((await names.find("does-not-exist.invalid")).ok, false);
});

Deno.test("NameLookup refuses a name when ten thousand wait, for that is its own fault", async () => {
  const { begun, names } = controlledNames();
  const asked = Array.from({ length: 10_016 }, (_, index) => names.find(`${index}`));
  const detail = "Too many names are being looked up";
  assert.deepEqual(await names.find("one too many"), { ok: false, detail, fault: "local" });
  for (let index = 0; index < asked.length; index++) {
    begun[index]?.end(FOUND);
    assert.deepEqual(await asked[index], FOUND);
  }
  names.find("again");
  assert.equal(begun.length, 10_017);
});

const FIRST: LookUp = { ok: true, addresses: ["10.0.0.1"] };
const SECOND: LookUp = { ok: true, addresses: ["10.0.0.2"] };
const GONE: LookUp = { ok: false, detail: "ENOTFOUND", fault: "name" };
const SERVER_FAILED: LookUp = { ok: false, detail: "EAI_AGAIN", fault: "name_server" };
const LACK: LookUp = { ok: false, detail: "EMFILE", fault: "local" };
const PATIENCE_MS = 60_000;

/** A cache that knows a name, and has known it for so long. */
async function knowing(answer: LookUp, time: FakeTime, ageMs: number) {
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

Deno.test("DnsCache takes the last answer when the look-up takes longer than the patience", async () => {
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
  assert.deepEqual(await asked, GONE);
  const again = cache.find("api", PATIENCE_MS);
  begun[2]?.end(SERVER_FAILED);
  assert.deepEqual(await again, SERVER_FAILED, "the old address is not given any more");
});

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
