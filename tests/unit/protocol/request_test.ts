import fc from "fast-check";
import assert from "node:assert/strict";
import { isIP } from "node:net";
import {
  type CheckRequest,
  type ParsedRequest,
  parseRequest,
} from "../../../src/protocol/request.ts";

const PLAIN = {
  host: "10.0.3.7",
  port: 50051,
  tls: false,
  authority: "api.internal",
  serverName: "api.internal",
  tlsProfile: "",
  service: "",
};

const label63 = "a".repeat(63);
const name253 = `${label63}.${label63}.${label63}.${"b".repeat(61)}`;

const VALID: readonly [string, string, Partial<CheckRequest>][] = [
  ["four fields", "10.0.3.7 50051 no-ssl api.internal", {}],
  ["several blanks and tabs", " 10.0.3.7\t \t50051  no-ssl\tapi.internal \t", {}],
  ["ssl", "10.0.3.7 50051 ssl api.internal", { tls: true }],
  ["the lowest port", "10.0.3.7 1 no-ssl api.internal", { port: 1 }],
  ["the highest port", "10.0.3.7 65535 no-ssl api.internal", { port: 65535 }],
  ["a DNS name", "api_1.svc-2.local 50051 no-ssl api.internal", { host: "api_1.svc-2.local" }],
  ["a name in capitals", "API.Local 50051 no-ssl api.internal", { host: "api.local" }],
  ["an absolute name", "api.local. 50051 no-ssl api.internal", { host: "api.local." }],
  ["a label that begins with a digit", "1api 50051 no-ssl api.internal", { host: "1api" }],
  ...["couchdb.1", "db.01", "db.1.", "123456789012", "4294967296", "1.2.3.256", "1.2.3.4.5", "08"]
    .map((host): [string, string, Partial<CheckRequest>] => [
      `the name ${host}, which ends in a number`,
      `${host} 50051 no-ssl api.internal`,
      { host },
    ]),
  ["a name of 253 bytes", `${name253} 50051 no-ssl api.internal`, { host: name253 }],
  ["bare IPv6", "::1 50051 no-ssl api.internal", { host: "::1" }],
  ["IPv6 in brackets", "[2001:DB8::1] 50051 no-ssl api.internal", { host: "2001:db8::1" }],
  ["IPv4-mapped IPv6", "::ffff:10.0.3.7 50051 no-ssl api.internal", { host: "::ffff:10.0.3.7" }],
  ["an authority with a port", "10.0.3.7 50051 no-ssl api.internal:8443", {
    authority: "api.internal:8443",
  }],
  ["an authority in capitals, as typed", "10.0.3.7 50051 no-ssl API", {
    authority: "API",
    serverName: "API",
  }],
  ["an IPv4 authority", "10.0.3.7 50051 no-ssl 10.0.3.7:1", {
    authority: "10.0.3.7:1",
    serverName: "10.0.3.7",
  }],
  ["an IPv6 authority", "10.0.3.7 50051 no-ssl [::1]:1", {
    authority: "[::1]:1",
    serverName: "::1",
  }],
  ["a bare IPv6 authority", "10.0.3.7 50051 no-ssl ::1", {
    authority: "[::1]",
    serverName: "::1",
  }],
  ["a service", "10.0.3.7 50051 no-ssl api.internal service=orders.v1.Orders", {
    service: "orders.v1.Orders",
  }],
  ["a service without dots", "10.0.3.7 50051 no-ssl api.internal service=live-ness_1", {
    service: "live-ness_1",
  }],
  ["a service of 253 bytes", `10.0.3.7 50051 no-ssl api.internal service=${"s".repeat(253)}`, {
    service: "s".repeat(253),
  }],
  ["a TLS profile", "10.0.3.7 50051 ssl api.internal tls=edge-1", {
    tls: true,
    tlsProfile: "edge-1",
  }],
  ["a tighter deadline", "10.0.3.7 50051 no-ssl api.internal timeout=500", { timeoutMs: 500 }],
  ["thresholds", "10.0.3.7 50051 no-ssl api.internal fall=3 rise=100", { fall: 3, rise: 100 }],
  ["options in any order", "10.0.3.7 50051 ssl api.internal timeout=1 service=a tls=b", {
    tls: true,
    tlsProfile: "b",
    service: "a",
    timeoutMs: 1,
  }],
];

/** The keys follow from the rest. */
function withoutKey(parsed: ParsedRequest): unknown {
  if (!parsed.ok) return parsed;
  const { key: _key, lineKey: _lineKey, ...request } = parsed.request;
  return { ok: true, request };
}

Deno.test("lines have the same key exactly when they say the same", () => {
  const keyOf = (line: string) => {
    const parsed = parseRequest(line);
    return parsed.ok ? parsed.request.lineKey : parsed.reason;
  };
  const line = "10.0.3.7 50051 no-ssl api.internal fall=3 timeout=100";
  assert.equal(keyOf(` 10.0.3.7  50051 no-ssl\tapi.internal timeout=100 fall=3`), keyOf(line));
  for (
    const other of [line.replace("100", "101"), line.replace("fall", "rise"), `${line} rise=3`]
  ) {
    assert.notEqual(keyOf(other), keyOf(line), other);
  }
});

Deno.test("requests have the same key exactly when they ask the same of the same backend", () => {
  const keyOf = (line: string) => {
    const parsed = parseRequest(line);
    return parsed.ok ? parsed.request.key : parsed.reason;
  };
  const key = keyOf("10.0.3.7 50051 no-ssl api.internal");
  assert.equal(keyOf("10.0.3.7  50051 no-ssl\tapi.internal fall=3 timeout=100"), key);
  for (
    const other of [
      "10.0.3.8 50051 no-ssl api.internal",
      "10.0.3.7 50052 no-ssl api.internal",
      "10.0.3.7 50051 ssl api.internal",
      "10.0.3.7 50051 ssl api.internal tls=no-ssl",
      "10.0.3.7 50051 no-ssl api2.internal",
      "10.0.3.7 50051 no-ssl api.internal service=orders",
    ]
  ) assert.notEqual(keyOf(other), key, other);
});

for (const [what, line, difference] of VALID) {
  Deno.test(`parseRequest() accepts ${what}`, () => {
    const request = { ...PLAIN, ...difference };
    if (difference.authority !== undefined && difference.serverName === undefined) {
      request.serverName = "api.internal";
    }
    assert.deepEqual(withoutKey(parseRequest(line)), { ok: true, request });
  });
}

const SERVER = "backend_server must be an IP address or a DNS name";
const OLD_SPELLING =
  "backend_server is an IPv4 address in an old spelling: it needs four decimal numbers";
const PORT = "backend_port must be a number from 1 to 65535";
const FLAG = "ssl_flag must be ssl or no-ssl";
const NAME = "proxy_host_name must be a host with an optional port";
const OPTION = "an option is unknown (known: service, tls, timeout, fall, rise)";
const FIELDS = "expected 4 fields: <backend_server> <backend_port> <ssl|no-ssl> <proxy_host_name>";

const INVALID: readonly [string, string, string][] = [
  ["an empty line", "", "the line is empty"],
  ["blanks alone", " \t ", "the line is empty"],
  ["three fields", "10.0.3.7 50051 no-ssl", FIELDS],
  ...["", " service=orders"].map((options): [string, string, string] => [
    `the line end that HAProxy sends from within single quotes, after ${JSON.stringify(options)}`,
    `10.0.3.7 50051 no-ssl api.internal${options}\\n`,
    "the line ends in a backslash and an n: agent-send needs double quotes",
  ]),
  ["a field too many", "10.0.3.7 50051 no-ssl api.internal x", OPTION],
  ...["unix:/run/x.sock", "dns:api", "dns:///api", "ipv4:10.0.3.7", "xds:api", "http://api"]
    .map((host): [string, string, string] => [
      `the scheme in ${host}`,
      `${host} 50051 no-ssl api.internal`,
      SERVER,
    ]),
  ...["a/b", "user@api", "a,b", "a%b", "a?b", "a\0b", "a\x7fb", "a\x0bb", "ä.local", "a..b", ".a"]
    .map((host): [string, string, string] => [
      `the host ${JSON.stringify(host)}`,
      `${host} 50051 no-ssl api.internal`,
      SERVER,
    ]),
  ...["127.1", "2130706433", "0x7f.1", "0X7F000001", "01.2.3.4", "1.2.65535", "0"]
    .map((host): [string, string, string] => [
      `${host}, which getaddrinfo() would read as an address`,
      `${host} 50051 no-ssl api.internal`,
      OLD_SPELLING,
    ]),
  ...["[::1", "::1]", "[10.0.3.7]", "[]", ":", "::1%lo", "[fe80::1%eth0]", "1::2::3", "[::1]:50051"]
    .map((host): [string, string, string] => [
      `the broken IPv6 address ${host}`,
      `${host} 50051 no-ssl api.internal`,
      SERVER,
    ]),
  ["a name of 254 bytes", `${name253}c 50051 no-ssl api.internal`, SERVER],
  ["a label of 64 bytes", `${label63}a.local 50051 no-ssl api.internal`, SERVER],
  ["a byte order mark", "\ufeff10.0.3.7 50051 no-ssl api.internal", SERVER],
  ["a no-break space", "10.0.3.7\u00a050051 no-ssl api.internal x", SERVER],
  ...[
    "0",
    "65536",
    "050051",
    "+50051",
    "-1",
    "5e4",
    "0x1",
    "50051.0",
    "５００５１",
    "100000",
    "http",
  ]
    .map((port): [string, string, string] => [
      `the port ${port}`,
      `10.0.3.7 ${port} no-ssl api.internal`,
      PORT,
    ]),
  ...["SSL", "No-SSL", "tls", "true", "ssl,"].map((flag): [string, string, string] => [
    `the flag ${flag}`,
    `10.0.3.7 50051 ${flag} api.internal`,
    FLAG,
  ]),
  ...[
    "user@api",
    "a/b",
    "a?b",
    "a#b",
    "a:b",
    "a:65536",
    "a:",
    ":1",
    "[::1",
    "[a]",
    "a\\b",
    'a"b',
    "ä",
  ]
    .map((name): [string, string, string] => [
      `the authority ${name}`,
      `10.0.3.7 50051 no-ssl ${name}`,
      NAME,
    ]),
  ["an authority of 254 bytes", `10.0.3.7 50051 no-ssl ${"a".repeat(254)}`, NAME],
  ["an unknown option", "10.0.3.7 50051 no-ssl api.internal servce=x", OPTION],
  [
    "an option of Object.prototype",
    "10.0.3.7 50051 no-ssl a constructor=x",
    OPTION,
  ],
  [
    "an option without a value",
    "10.0.3.7 50051 no-ssl api.internal service",
    OPTION,
  ],
  ["an option in capitals", "10.0.3.7 50051 no-ssl api.internal Service=x", OPTION],
  [
    "a repeated option",
    "10.0.3.7 50051 no-ssl api.internal service=a service=a",
    "the option service is repeated",
  ],
  ["tls with no-ssl", "10.0.3.7 50051 no-ssl a tls=edge", "the option tls needs ssl"],
  ...["", "a b", "a/b", "a".repeat(65)].map((profile): [string, string, string] => [
    `the TLS profile ${JSON.stringify(profile.slice(0, 10))}`,
    `10.0.3.7 50051 ssl api.internal tls=${profile}`,
    profile === "a b" ? OPTION : "the option tls is malformed",
  ]),
  ...["", "0", "-1", "+1", "01", "1.5", "60001", "1s"].map((ms): [string, string, string] => [
    `the timeout ${JSON.stringify(ms)}`,
    `10.0.3.7 50051 no-ssl api.internal timeout=${ms}`,
    "the option timeout is malformed",
  ]),
  ...["", "0", "101", "-1", "03"].flatMap((n): [string, string, string][] =>
    ["fall", "rise"].map((option) => [
      `${option}=${n}`,
      `10.0.3.7 50051 no-ssl api.internal ${option}=${n}`,
      `the option ${option} is malformed`,
    ])
  ),
  ...["", ".a", "a.", "a..b", "a/b", "a=b", "ä", "s".repeat(254)].map((
    service,
  ): [string, string, string] => [
    `the service ${JSON.stringify(service.slice(0, 10))}`,
    `10.0.3.7 50051 no-ssl api.internal service=${service}`,
    "the option service is malformed",
  ]),
];

for (const [what, line, reason] of INVALID) {
  Deno.test(`parseRequest() rejects ${what}`, () => {
    assert.deepEqual(parseRequest(line), { ok: false, reason });
  });
}

/** What a target may look like; anything else could be read as another kind of gRPC target. */
function isSafeHost(host: string): boolean {
  return isIP(host) !== 0 ? !host.includes("%") : /^[a-z0-9._-]{1,253}$/.test(host);
}

const nearlyValid = fc.array(
  fc.oneof(
    fc.constantFrom(" ", "\t", "10.0.3.7", "::1", "[", "]", "50051", "ssl", "no-ssl", "service="),
    fc.constantFrom("unix:", "api", ".", "@", "/", "%", "\0", "1", "-", "+", ":", "=", ","),
    fc.string({ unit: "binary", maxLength: 3 }),
  ),
  { maxLength: 24 },
).map((parts) => parts.join(""));

Deno.test("parseRequest() takes any bytes to a safe target or a reason, and never throws", () => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((b) => new TextDecoder().decode(b));
  fc.assert(
    fc.property(fc.oneof(bytes, nearlyValid), (line) => {
      const parsed = parseRequest(line);
      if (!parsed.ok) {
        assert.ok(parsed.reason.length > 0);
        return;
      }
      const { host, port, authority, service } = parsed.request;
      assert.ok(isSafeHost(host), host);
      assert.ok(Number.isInteger(port) && port >= 1 && port <= 65535);
      assert.match(authority, /^[\x21-\x7e]{1,255}$/);
      assert.match(service, /^[A-Za-z0-9_.-]{0,253}$/);
    }),
    { numRuns: 5000 },
  );
});

Deno.test("parseRequest() reads back every line made of valid fields", () => {
  const label = fc.stringMatching(/^[a-z][a-z0-9_-]{0,20}$/);
  const host = fc.oneof(
    fc.ipV4(),
    fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join(".")),
  );
  const blank = fc.stringMatching(/^[ \t]{1,3}$/);
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65535 }), fc.boolean(), label, blank, (
      host,
      port,
      tls,
      service,
      blank,
    ) => {
      const line = [host, port, tls ? "ssl" : "no-ssl", host, `service=${service}`].join(blank);
      assert.deepEqual(withoutKey(parseRequest(line)), {
        ok: true,
        request: { ...PLAIN, host, port, tls, authority: host, serverName: host, service },
      });
    }),
  );
});
