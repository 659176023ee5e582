import assert from "node:assert/strict";
import { readCommandLine } from "../../src/config/command_line.ts";
import { helpText } from "../../src/config/help.ts";
import { bool } from "../../src/config/kinds.ts";
import { loadConfig } from "../../src/config/load.ts";
import { ENV_PREFIX, type Setting, SETTING_ROWS } from "../../src/config/settings.ts";

const NO_FLAGS: ReadonlyMap<string, string> = new Map();

/** Two values, neither the default, that each setting accepts. */
const ACCEPTED: Readonly<Record<string, readonly [string, string]>> = {
  server_bind_address: ["127.0.0.1", "::1"],
  server_port: ["1", "65535"],
  metrics_bind_address: ["127.0.0.1", "localhost"],
  metrics_port: ["1", "65535"],
  check_timeout_ms: ["1", "60000"],
  grpc_connect_timeout_ms: ["1", "60000"],
  grpc_rpc_timeout_ms: ["1", "60000"],
  tls_ca_file: ["/etc/ca.pem", "ca.pem"],
  log_level: ["trace", "error"],
  log_format: ["pretty", "pretty"],
};

/** Texts that each setting refuses. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  server_bind_address: ["", "a b", "http://x", "0.0.0.0/0"],
  server_port: ["", "0", "65536", "-1", "+1", "1.5", "0x1", "http", " 1"],
  metrics_bind_address: ["", "a b"],
  metrics_port: ["0", "65536"],
  check_timeout_ms: ["0", "60001", "1s"],
  grpc_connect_timeout_ms: ["0", "60001"],
  grpc_rpc_timeout_ms: ["0", "60001"],
  tls_ca_file: [""],
  log_level: ["", "INFO", "verbose"],
  log_format: ["", "text"],
};

for (const { key, env, flag, kind, default: unset } of SETTING_ROWS) {
  const variable = ENV_PREFIX + env;
  const [first = "", second = ""] = ACCEPTED[key] ?? [];

  const valueOf = (flags: ReadonlyMap<string, string>, environment: Record<string, string>) => {
    const loaded = loadConfig(flags, environment);
    assert.ok(loaded.ok, JSON.stringify(loaded));
    return (loaded.config as Readonly<Record<string, unknown>>)[key];
  };

  Deno.test(`${key}: --${flag} beats ${variable}, which beats the default`, () => {
    assert.deepEqual(valueOf(NO_FLAGS, {}), unset);
    assert.deepEqual(valueOf(NO_FLAGS, { [variable]: first }), kind.read(first));
    const { values, mistakes } = readCommandLine([`--${flag}`, second], SETTING_ROWS);
    assert.deepEqual(mistakes, []);
    assert.deepEqual(valueOf(values, { [variable]: first }), kind.read(second));
    assert.notEqual(kind.read(second), undefined);
  });

  for (const text of REFUSED[key] ?? []) {
    Deno.test(`${key} refuses ${JSON.stringify(text)} from either source`, () => {
      const expected = (source: string) => ({
        ok: false,
        mistakes: [`${key} (from ${source}): ${JSON.stringify(text)} is not ${kind.accepted}`],
      });
      assert.deepEqual(loadConfig(NO_FLAGS, { [variable]: text }), expected(variable));
      assert.deepEqual(loadConfig(new Map([[key, text]]), {}), expected(`--${flag}`));
    });
  }
}

Deno.test("loadConfig() tells all mistakes at once", () => {
  const loaded = loadConfig(new Map([["server_port", "x"]]), {
    HAPROXY_AGENT_LOG_LEVEL: "loud",
    HAPROXY_AGENT_METRICS_PORT: "0",
  });
  assert.ok(!loaded.ok);
  assert.equal(loaded.mistakes.length, 3);
});

Deno.test("loadConfig() refuses one port for both listeners", () => {
  assert.deepEqual(loadConfig(new Map([["server_port", "9090"]]), {}), {
    ok: false,
    mistakes: ["metrics_port: 9090 is server_port already"],
  });
});

Deno.test("loadConfig() only warns of an unknown variable, which Kubernetes may have set", () => {
  const loaded = loadConfig(NO_FLAGS, {
    HAPROXY_AGENT_SERVICE_HOST: "10.0.0.1",
    HAPROXY_AGENT_SERVER_PROT: "1",
    OTHER: "x",
  });
  assert.ok(loaded.ok);
  assert.deepEqual(loaded.warnings, [
    "HAPROXY_AGENT_SERVICE_HOST: unknown variable",
    "HAPROXY_AGENT_SERVER_PROT: unknown variable (did you mean HAPROXY_AGENT_SERVER_PORT?)",
  ]);
});

Deno.test("loadConfig() warns of a check that outlasts HAProxy's agent-inter", () => {
  const loaded = loadConfig(new Map([["check_timeout_ms", "1951"]]), {});
  assert.ok(loaded.ok);
  assert.match(loaded.warnings.join(), /agent-inter/);
  const safe = loadConfig(new Map([["check_timeout_ms", "1950"]]), {});
  assert.deepEqual(safe.ok && safe.warnings, []);
});

const WRONG: readonly [readonly string[], string][] = [
  [["--server-prt", "1"], "--server-prt: unknown flag (did you mean --server-port?)"],
  [["--frobnicate"], "--frobnicate: unknown flag"],
  [["-x"], "-x: unknown flag"],
  [["extra"], "extra: unexpected argument"],
  [["--server-port"], "--server-port: a value is missing (a whole number from 1 to 65535)"],
  [["--server-port", "1", "--server-port=2"], "--server-port: given more than once"],
];

for (const [args, mistake] of WRONG) {
  Deno.test(`readCommandLine() refuses ${args.join(" ")}`, () => {
    assert.equal(readCommandLine(args, SETTING_ROWS).mistakes[0], mistake);
  });
}

const SWITCH: Setting<boolean> = {
  key: "cache",
  env: "CACHE",
  flag: "cache",
  group: "",
  kind: bool,
  default: true,
  help: "",
};

for (
  const [args, value] of [
    [["--cache"], "true"],
    [["--cache", "false"], "false"],
    [["--cache=false"], "false"],
    [["--cache", "--help"], "true"],
  ] as const
) {
  Deno.test(`readCommandLine() reads ${args.join(" ")} as ${value}`, () => {
    const { values, mistakes } = readCommandLine(args, [SWITCH]);
    assert.deepEqual(mistakes, []);
    assert.equal(values.get("cache"), value);
  });
}

Deno.test("The help names every flag and default, and fits a terminal", () => {
  const help = helpText();
  for (const { flag } of SETTING_ROWS) assert.ok(help.includes(`--${flag} `), flag);
  for (const line of help.split("\n")) assert.ok(line.length <= 110, line);
});
