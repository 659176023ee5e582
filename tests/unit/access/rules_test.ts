import fc from "fast-check";
import assert from "node:assert/strict";
import {
  type BackendRules,
  type ClientRules,
  parseBackendRules,
  parseClientRules,
} from "../../../src/access/rules.ts";

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

function backendRules(...texts: string[]): BackendRules {
  const parsed = parseBackendRules(texts);
  assert.ok(parsed.ok, texts.join());
  return parsed.rules;
}

const FOUR = "10.1.2.3";
const OTHER = "192.0.2.1";
const SIX = "2001:db8::1";
const ALL = [OTHER, SIX, FOUR];

/** Rules, request, what the host resolves to, what is permitted, and whether it may be (if else). */
type Row = readonly [readonly string[], string, readonly string[], readonly string[], boolean?];

const BACKENDS: readonly Row[] = [
  [[], "api.internal:443", ALL, ALL],
  [[], FOUR, [FOUR], [FOUR]],
  [["10.0.0.0/8"], "api.internal:443", ALL, [FOUR]],
  [["10.0.0.0/8", "2001:db8::/32"], "api.internal:443", ALL, [SIX, FOUR]],
  [["10.0.0.0/8"], "api.internal:443", [OTHER], [], true],
  [["10.0.0.0/8"], "api.internal:443", ["::ffff:10.1.2.3"], ["::ffff:10.1.2.3"]],
  [["10.0.0.0/8"], "api.internal:443", ["nonsense", ""], [], true],
  [["10.0.0.0/8"], `${FOUR}:443`, [FOUR], [FOUR]],
  [["10.0.0.0/8"], `${OTHER}:443`, [OTHER], [], false],
  [["10.0.0.0/8"], "::ffff:10.1.2.3:443", ["::ffff:10.1.2.3"], ["::ffff:10.1.2.3"]],
  [["2001:db8::/32"], `${SIX}:443`, [SIX], [SIX]],
  [["10.1.2.3:443"], `${FOUR}:443`, [FOUR], [FOUR]],
  [["10.1.2.3:443"], `${FOUR}:444`, [FOUR], [], false],
  [["10.0.0.0/8:443"], "api.internal:444", [FOUR], [], false],
  [["10.0.0.0/8:443-445"], "api.internal:442", [FOUR], [], false],
  [["10.0.0.0/8:443-445"], "api.internal:443", [FOUR], [FOUR]],
  [["10.0.0.0/8:443-445"], "api.internal:445", [FOUR], [FOUR]],
  [["10.0.0.0/8:443-445"], "api.internal:446", [FOUR], [], false],
  [["10.0.0.0/8:1", "192.0.2.0/24:2"], "api.internal:2", ALL, [OTHER]],
  [["[2001:db8::/32]:443"], `${SIX}:443`, [SIX], [SIX]],
  [["[2001:db8::]/32:443"], `${SIX}:443`, [SIX], [SIX]],
  [["[2001:db8::/32]:443"], `${SIX}:80`, [SIX], [], false],
  [["[2001:db8::]/32:443"], `${SIX}:80`, [SIX], [], false],
  [["[2001:db8::1]:443"], `${SIX}:443`, [SIX], [SIX]],
  [["[2001:db8::/32]"], `${SIX}:443`, [SIX], [SIX]],
  [["[2001:db8::1]"], `${SIX}:1`, [SIX], [SIX]],
  [["2001:db8::443"], `${SIX}:443`, [SIX], [], false],
  [["api.internal"], "api.internal:443", ALL, ALL],
  [["api.internal"], "api.internal:443", [], [], true],
  [["api.internal"], "API.Internal.:443", ALL, ALL],
  [["API.Internal."], "api.internal:443", ALL, ALL],
  [["api.internal"], "b.api.internal:443", ALL, [], false],
  [["api.internal"], "xapi.internal:443", ALL, [], false],
  [["api.internal"], "api.internal.example:443", ALL, [], false],
  [["api.internal"], `${FOUR}:443`, [FOUR], [], false],
  [["api.internal:443"], "api.internal:443", ALL, ALL],
  [["api.internal:443"], "api.internal:444", ALL, [], false],
  [["*.svc.local"], "api.svc.local:443", ALL, ALL],
  [["*.svc.local"], "a.b.svc.local:443", ALL, ALL],
  [["*.SVC.local."], "API.svc.LOCAL:443", ALL, ALL],
  [["*.svc.local"], "api.svc.local.:443", ALL, ALL],
  [["*.svc.local"], "svc.local:443", ALL, [], false],
  [["*.svc.local"], "svc.local.:443", ALL, [], false],
  [["*.svc.local"], "apisvc.local:443", ALL, [], false],
  [["*.svc.local"], "api.svc.local.example:443", ALL, [], false],
  [["db.01"], "db.01:443", ALL, ALL],
  [["*.1"], "couchdb.1:443", ALL, ALL],
  [["*.1"], "couchdb.01:443", ALL, [], false],
  [["*.3"], `${FOUR}:443`, [FOUR], [], false],
  [["*.svc.local:8000-9000"], "api.svc.local:8500", ALL, ALL],
  [["*.svc.local:8000-9000"], "api.svc.local:7999", ALL, [], false],
  [["*.svc.local:1", "10.0.0.0/8"], "api.svc.local:2", ALL, [FOUR]],
  [["*.svc.local", "10.0.0.0/8"], "api.svc.local:2", ALL, ALL],
];

for (const [texts, request, addresses, expected, may = expected.length > 0] of BACKENDS) {
  const what = expected.length === 0 ? "nothing" : expected.join(" and ");
  Deno.test(`[${texts}] permits ${what} for ${request} at ${addresses}`, () => {
    const colon = request.lastIndexOf(":");
    const [host, port] = colon < 0
      ? [request, 443]
      : [request.slice(0, colon), Number(request.slice(colon + 1))];
    const rules = backendRules(...texts);
    assert.deepEqual(rules.permitted(host, port, addresses), expected);
    assert.equal(rules.mayPermit(host, port), may);
  });
}

const NOT_ACCEPTED =
  "is not an IP address, a network or a host pattern, each with an optional :port or :from-to " +
  "(10.0.0.0/8, [2001:db8::/32]:443, api.internal:443, *.svc.cluster.local:8000-9000)";
const PORTS =
  "must have a number from 1 to 65535, or two with a - between, the lower first, after the colon";
const BRACKETS = "must have the IPv6 network in brackets when a port follows ([2001:db8::/32]:443)";

const REFUSED: readonly [string, string][] = [
  ...["", " ", "*", "*:443", "*.", "*.*.local", "a.*.local", "a*.local", "*a.local", "*local", ".*"]
    .map((text): [string, string] => [text, NOT_ACCEPTED]),
  ...[
    "*.10.0.0.1",
    "*.0.0.1",
    "*.10.0.0.256",
    "127.1",
    "010.0.0.1",
    "10.0.0.256",
    "*.[::1]",
    "*.::1",
    "ä",
  ]
    .map((text): [string, string] => [text, NOT_ACCEPTED]),
  ...["api..local", "api.local/8", "[10.0.0.0]/8:443", "[10.0.0.1]", "[::1", "::1]", "[]", "[::1]x"]
    .map((text): [string, string] => [text, NOT_ACCEPTED]),
  ...["[::1/128]/128", "[[::1]]", "1:2:3", "a b", "a,b", "a\n", "\ud800", "x".repeat(64)]
    .map((text): [string, string] => [text, NOT_ACCEPTED]),
  ...["", "0", "65536", "080", "+1", "*", "http", "1-", "-1", "2-1", "1-2-3", "1-65536", "1 - 2"]
    .flatMap((ports) => ["a.local", "10.0.0.0/8", "[::1]"].map((target) => `${target}:${ports}`))
    .map((text): [string, string] => [text, PORTS]),
  ["2001:db8::/32:443", BRACKETS],
  ["10.0.0.0/33:443", "must have a prefix length from 0 to 32 after the slash"],
  ["[::/129]:443", "must have a prefix length from 0 to 128 after the slash"],
  [
    "[2001:db8::1]/32:443",
    "has bits set after the prefix, write 2001:db8::/32 or the single address 2001:db8::1",
  ],
];

for (const [text, reason] of REFUSED) {
  Deno.test(`parseBackendRules() refuses ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseBackendRules([text]), {
      ok: false,
      mistakes: [`${JSON.stringify(text)} ${reason}`],
    });
  });
}

Deno.test("parseBackendRules() says all mistakes at once, each with its entry", () => {
  assert.deepEqual(parseBackendRules(["*", "api.internal", "api.internal:0"]), {
    ok: false,
    mistakes: [`"*" ${NOT_ACCEPTED}`, `"api.internal:0" ${PORTS}`],
  });
});

const entry = fc.array(
  fc.oneof(
    fc.constantFrom("10.0.0.0", "::", "2001:db8::", "::ffff:", "[", "]", "/", "8", "32", "0"),
    fc.constantFrom(":", "-", "443", "*.", "*", "api", ".", "local", "%", " ", "\0", "x"),
    fc.string({ unit: "binary", maxLength: 3 }),
  ),
  { maxLength: 8 },
).map((parts) => parts.join(""));

Deno.test("parseBackendRules() takes any texts to rules or mistakes, and never throws", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(entry, fc.string({ unit: "binary" })), { maxLength: 4 }),
      (all) => {
        const parsed = parseBackendRules(all);
        const wrong = all.filter((text) => !parseBackendRules([text]).ok);
        const mistakes = parsed.ok ? [] : parsed.mistakes;
        assert.equal(mistakes.length, wrong.length);
        wrong.forEach((text, at) =>
          assert.ok(mistakes[at]?.startsWith(`${JSON.stringify(text)} `))
        );
      },
    ),
    { numRuns: 5000 },
  );
});

Deno.test("mayPermit() is true for whatever permitted() lets through", () => {
  const host = fc.constantFrom(FOUR, OTHER, SIX, "::ffff:10.1.2.3", "api.local", "local", "x.y.");
  const rule = fc.tuple(
    fc.constantFrom("10.0.0.0/8", "10.1.2.3", "[2001:db8::/32]", "api.local", "*.local", "*.y"),
    fc.constantFrom("", ":1", ":2", ":2-3"),
  ).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 3 }), host, fc.integer({ min: 1, max: 4 }), (
      texts,
      host,
      port,
    ) => {
      const rules = backendRules(...texts);
      const isAddress = /^[0-9.]+$|:/.test(host);
      const permitted = rules.permitted(host, port, isAddress ? [host] : ALL);
      if (permitted.length > 0) assert.ok(rules.mayPermit(host, port));
      if (isAddress) assert.equal(rules.mayPermit(host, port), permitted.length > 0);
    }),
    { numRuns: 1000 },
  );
});
