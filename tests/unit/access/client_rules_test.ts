import fc from "fast-check";
import assert from "node:assert/strict";
import { type ClientRules, parseClientRules } from "../../../src/access/client_rules.ts";

function clientRules(...texts: string[]): ClientRules {
  const parsed = parseClientRules(texts);
  assert.ok(parsed.ok, texts.join());
  return parsed.rules;
}

const CLIENTS: readonly [string, readonly string[], string, boolean][] = [
  ["everybody without rules", [], "192.0.2.1", true],
  ["even an unknown client without rules", [], "", true],
  ["a client of the first network", ["10.0.0.0/8", "::1"], "10.1.2.3", true],
  ["a client of the last network", ["10.0.0.0/8", "::1"], "::1", true],
  ["an IPv4 client that comes over IPv6", ["10.0.0.0/8"], "::ffff:10.1.2.3", true],
  ["a client elsewhere", ["10.0.0.0/8", "::1"], "192.0.2.1", false],
  ["an IPv6 client when rules are IPv4", ["0.0.0.0/0"], "2001:db8::1", false],
  ["loopback that no rule names", ["10.0.0.0/8"], "127.0.0.1", false],
  ["a client without an IP address", ["0.0.0.0/0", "::/0"], "/run/agent.sock", false],
];

for (const [who, texts, client, expected] of CLIENTS) {
  Deno.test(`ClientRules ${expected ? "allow" : "refuse"} ${who}`, () => {
    assert.equal(clientRules(...texts).allows(client), expected);
  });
}

Deno.test("ClientRules are open only without an entry", () => {
  assert.equal(clientRules().open, true);
  assert.equal(clientRules("0.0.0.0/0").open, false);
});

Deno.test("parseClientRules() says all mistakes at once, each with its entry", () => {
  assert.deepEqual(parseClientRules(["10.0.0.0/8", "localhost", "::1", "10.0.0.0/33"]), {
    ok: false,
    mistakes: [
      '"localhost" is not an IP address or a network (10.0.0.0/8, 2001:db8::/32)',
      '"10.0.0.0/33" must have a prefix length from 0 to 32 after the slash',
    ],
  });
});

Deno.test("parseClientRules() takes any text to rules or a mistake, and never throws", () => {
  const nearlyValid = fc.array(
    fc.oneof(
      fc.constantFrom("10.0.0.0", "::", "2001:db8::", "::ffff:", "/", "8", "32", "0", "%", "\0"),
      fc.string({ unit: "binary", maxLength: 3 }),
    ),
    { maxLength: 6 },
  ).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(nearlyValid, fc.string({ unit: "binary" })), (text) => {
      const parsed = parseClientRules([text]);
      if (parsed.ok) assert.match(text, /^[0-9a-f:.]+(\/[0-9]{1,3})?$/i);
      else assert.ok(parsed.mistakes[0]?.startsWith(`${JSON.stringify(text)} `));
      assert.equal(parseClientRules(["::1", text]).ok, parsed.ok);
    }),
    { numRuns: 5000 },
  );
});
