import assert from "node:assert/strict";
import { readCommandLine } from "../../../src/config/command_line.ts";
import { effectiveConfiguration } from "../../../src/config/configuration.ts";
import { loadConfiguration, type LoadedConfiguration } from "../../../src/config/load.ts";
import { ENV_PREFIX, SETTING_ROWS } from "../../../src/config/settings.ts";

/** What the tests give, each source as it would come. */
interface Given {
  args?: readonly string[];
  toml?: string;
  env?: Readonly<Record<string, string>>;
  unreadable?: readonly string[];
  /** The file with the CAs of the machine; empty where it has none. @default {"one in a whole file"} */
  machineCas?: string;
}

const MACHINE_CAS = "/etc/ssl/certs/ca-certificates.crt";

/** A sequence in a sequence, as in a certificate: nothing here looks further. */
const SHAPED = "-----BEGIN CERTIFICATE-----\nMAIwAA==\n-----END CERTIFICATE-----\n";

async function load(
  { args = [], toml, env = {}, unreadable = [], machineCas = SHAPED }: Given,
): Promise<LoadedConfiguration> {
  const { values, mistakes } = readCommandLine(args, SETTING_ROWS);
  assert.deepEqual(mistakes, []);
  return await loadConfiguration({
    flags: values,
    configFile: toml === undefined ? undefined : "agent.toml",
    environment: env,
    unreadable,
    readTextFile: (path) => {
      if (path === MACHINE_CAS && machineCas !== "") return machineCas;
      if (path !== "agent.toml" || toml === undefined) throw new Error("No such file");
      return toml;
    },
  });
}

async function valueOf(key: string, given: Given): Promise<unknown> {
  // A log file needs a path.
  const also = key === "log_destination" ? { [`${ENV_PREFIX}LOG_FILE_PATH`]: "/tmp/a" } : {};
  const loaded = await load({ ...given, env: { ...also, ...given.env } });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return (loaded.configuration.settings as Readonly<Record<string, unknown>>)[key];
}

/**
 * Three values that differ from the default and from each other where the kind has so many: for the
 * environment, the TOML file (as TOML) and the command line; and what each must become.
 */
const VALUES: Readonly<Record<string, readonly (readonly [string, unknown])[]>> = {
  server_bind_address: [["::1", ["::1"]], ['["127.0.0.1", "::1"]', ["127.0.0.1", "::1"]], [
    "localhost",
    ["localhost"],
  ]],
  server_port: [["1", 1], ["65535", 65535], ["5556", 5556]],
  shutdown_timeout_ms: [["1", 1], ["60000", 60000], ["7", 7]],
  check_timeout_ms: [["1", 1], ["60000", 60000], ["7", 7]],
  grpc_connect_timeout_ms: [["1", 1], ["60000", 60000], ["7", 7]],
  grpc_rpc_timeout_ms: [["1", 1], ["60000", 60000], ["7", 7]],
  grpc_channel_cache_enabled: [["False", false], ["true", true], ["false", false]],
  channel_idle_timeout_ms: [["1000", 1000], ["86400000", 86400000], ["1001", 1001]],
  max_channels: [["1", 1], ["1000000", 1000000], ["7", 7]],
  allow_clients: [["10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"]], ['["10.0.0.1"]', ["10.0.0.1"]], [
    "10.0.0.2",
    ["10.0.0.2"],
  ]],
  allow_backends: [["10.0.0.0/8:443,*.a", ["10.0.0.0/8:443", "*.a"]], ['["a"]', ["a"]], [
    "b:1-2",
    ["b:1-2"],
  ]],
  max_connections: [["1", 1], ["1000000", 1000000], ["7", 7]],
  max_line_bytes: [["64", 64], ["65536", 65536], ["100", 100]],
  request_timeout_ms: [["1", 1], ["86400000", 86400000], ["7", 7]],
  idle_timeout_ms: [["1", 1], ["86400000", 86400000], ["7", 7]],
  metrics_enabled: [["FALSE", false], ["true", true], ["false", false]],
  metrics_bind_address: [["::1", "::1"], ['"127.0.0.1"', "127.0.0.1"], ["localhost", "localhost"]],
  metrics_backend_up: [["True", true], ["false", false], ["true", true]],
  metrics_port: [["1", 1], ["65535", 65535], ["9091", 9091]],
  log_level: [["TRACE", "trace"], ['"warn"', "warn"], ["error", "error"]],
  log_format: [["Pretty", "pretty"], ['"json"', "json"], ["pretty", "pretty"]],
  log_checks: [["Changes", "changes"], ['"none"', "none"], ["all", "all"]],
  log_destination: [["FILE", "file"], ['"console"', "console"], ["file", "file"]],
  log_file_path: [["/tmp/a", "/tmp/a"], ['"/tmp/b"', "/tmp/b"], ["c", "c"]],
  log_file_rotation: [["Daily", "daily"], ['"hourly"', "hourly"], ["never", "never"]],
  log_file_max_files: [["1", 1], ["365", 365], ["7", 7]],
  coalesce_checks: [["False", false], ["true", true], ["false", false]],
  verdict_max_age_ms: [["1", 1], ["60000", 60000], ["0", 0]],
  learn_patience: [["False", false], ["true", true], ["false", false]],
  grpc_client: [["gRPC-js", "grpc-js"], ['"native"', "native"], ["grpc-js", "grpc-js"]],
  require_alpn: [["False", false], ["true", true], ["false", false]],
  fall: [["1", 1], ["100", 100], ["3", 3]],
  rise: [["1", 1], ["100", 100], ["2", 2]],
  reply_reason: [["True", true], ["false", false], ["true", true]],
  not_serving_reply: [["Drain", "drain"], ['"maint"', "maint"], ["down", "down"]],
};

for (const { key, toml: paths, env, flag, default: unset } of SETTING_ROWS) {
  const rows = VALUES[key];
  if (rows === undefined) continue;
  const [[envText, envValue], [tomlText, tomlValue], [flagText, flagValue]] = rows as [
    [string, unknown],
    [string, unknown],
    [string, unknown],
  ];
  const variable = { [ENV_PREFIX + env]: envText };
  const toml = `${paths[0]} = ${tomlText}\n`;
  const args = [`--${flag}`, flagText];

  Deno.test(`${key}: the command line beats the file, the file the environment, that the default`, async () => {
    assert.deepEqual(await valueOf(key, {}), unset);
    assert.deepEqual(await valueOf(key, { env: variable }), envValue);
    assert.deepEqual(await valueOf(key, { toml }), tomlValue);
    assert.deepEqual(await valueOf(key, { args }), flagValue);
    assert.deepEqual(await valueOf(key, { toml, env: variable }), tomlValue);
    assert.deepEqual(await valueOf(key, { args, env: variable }), flagValue);
    assert.deepEqual(await valueOf(key, { args, toml, env: variable }), flagValue);
  });
}

Deno.test("Every setting stands in the table of this test, or names a file", () => {
  const untested = SETTING_ROWS.map(({ key }) => key).filter((key) => VALUES[key] === undefined);
  assert.deepEqual(untested, ["tls_ca_file", "tls_cert_file", "tls_key_file"]);
});

/**
 * Texts that each setting refuses on the command line, and in the environment unless it takes them for
 * nothing or for another text there.
 */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  server_bind_address: ["", "a b", "http://x", "0.0.0.0/0", "a,b"],
  server_port: ["", "0", "65536", "-1", "+1", "1.5", "0x1", "http", " 1"],
  shutdown_timeout_ms: ["0", "60001"],
  metrics_bind_address: ["", "a b"],
  metrics_port: ["0", "65536"],
  metrics_enabled: ["", "yes", "1"],
  metrics_backend_up: ["on"],
  grpc_channel_cache_enabled: ["", "no", "0"],
  check_timeout_ms: ["0", "60001", "1s"],
  grpc_connect_timeout_ms: ["0", "60001"],
  grpc_rpc_timeout_ms: ["0", "60001"],
  channel_idle_timeout_ms: ["999", "2147483648"],
  max_channels: ["0", "-1"],
  max_connections: ["0", "many"],
  max_line_bytes: ["63", "65537"],
  request_timeout_ms: ["0"],
  idle_timeout_ms: ["0"],
  tls_ca_file: [""],
  allow_clients: ["", ",", " , "],
  allow_backends: [""],
  log_level: ["", "verbose"],
  log_format: ["", "text"],
  log_checks: ["", "some"],
  log_destination: ["", "stdout"],
  log_file_rotation: ["weekly"],
  log_file_max_files: ["0"],
  coalesce_checks: ["on"],
  verdict_max_age_ms: ["-1", "60001", "1s"],
  learn_patience: ["on"],
  grpc_client: ["", "grpc", "tonic"],
  require_alpn: ["h2"],
  fall: ["0", "101"],
  rise: ["0", "101"],
  reply_reason: ["on"],
  not_serving_reply: ["up", "ready"],
};

for (const { key, env, flag, kind } of SETTING_ROWS) {
  for (const text of REFUSED[key] ?? []) {
    Deno.test(`${key} refuses ${JSON.stringify(text)}`, async () => {
      const expected = (source: string) => ({
        ok: false,
        mistakes: [`${key} (from ${source}): ${JSON.stringify(text)} is not ${kind.accepted}`],
      });
      if (kind.refusesEmpty || (text !== "" && text === text.trim())) {
        assert.deepEqual(
          await load({ env: { [ENV_PREFIX + env]: text } }),
          expected(ENV_PREFIX + env),
        );
      }
      assert.deepEqual(await load({ args: [`--${flag}=${text}`] }), expected(`--${flag}`));
    });
  }
}

for (const { key, env, kind, default: unset } of SETTING_ROWS) {
  if (kind.refusesEmpty) continue;
  Deno.test(`${key}: an empty variable counts as not set, with a warning`, async () => {
    const variable = ENV_PREFIX + env;
    assert.deepEqual(await valueOf(key, { env: { [variable]: "" } }), unset);
    const loaded = await load({ env: { [variable]: "" } });
    assert.ok(loaded.ok);
    assert.ok(loaded.warnings.includes(`${variable}: empty, which counts as not set`));
  });
}

Deno.test("allow_clients and allow_backends refuse an empty variable: it must not mean everybody", async () => {
  const env = { HAPROXY_AGENT_ALLOW_CLIENTS: "", HAPROXY_AGENT_ALLOW_BACKENDS: " " };
  const loaded = await load({ env });
  assert.ok(!loaded.ok);
  assert.deepEqual(loaded.mistakes.map((mistake) => mistake.split(" ")[0]), [
    "allow_clients",
    "allow_backends",
  ]);
});

Deno.test("blanks around the value of a variable do not count", async () => {
  for (
    const [variable, text, key, value] of [
      ["LOG_LEVEL", "warn ", "log_level", "warn"],
      ["SERVER_PORT", " 1\r", "server_port", 1],
      ["REPLY_REASON", "true\n", "reply_reason", true],
      ["METRICS_BIND", "\t::1", "metrics_bind_address", "::1"],
      ["FALL", " ", "fall", 1],
      // A file may be called so.
      ["LOG_FILE_PATH", "/tmp/a ", "log_file_path", "/tmp/a "],
    ] as const
  ) {
    assert.deepEqual(await valueOf(key, { env: { [ENV_PREFIX + variable]: text } }), value);
  }
});

Deno.test("a variable that is no text is a mistake, unless a stronger source beats it", async () => {
  const unreadable = ["HAPROXY_AGENT_ALLOW_CLIENTS"];
  assert.deepEqual(await load({ unreadable }), {
    ok: false,
    mistakes: ["allow_clients (from HAPROXY_AGENT_ALLOW_CLIENTS): the value is not UTF-8"],
  });
  const toml = 'allow_clients = ["10.0.0.1"]\n';
  assert.deepEqual(await valueOf("allow_clients", { unreadable, toml }), ["10.0.0.1"]);
});

Deno.test("[logging] level and format beat log_level and log_format of the same file", async () => {
  const toml =
    'log_level = "warn"\nlog_format = "json"\n[logging]\nlevel = "debug"\nformat = "pretty"\n';
  assert.equal(await valueOf("log_level", { toml }), "debug");
  assert.equal(await valueOf("log_format", { toml }), "pretty");
  assert.equal(await valueOf("log_level", { toml, args: ["--log-level", "error"] }), "error");
});

Deno.test("[logging.packages] sets levels of components, also under the Rust agent's names", async () => {
  const loaded = await load({
    toml: `[logging.packages]
"haproxy_grpc_agent::server" = "trace"
haproxy_grpc_agent = "debug"
checker = "error"
tonic = "warn"
`,
  });
  assert.ok(loaded.ok);
  assert.deepEqual(Object.fromEntries(loaded.configuration.logLevels), {
    main: "debug",
    config: "debug",
    server: "trace",
    protocol: "debug",
    checker: "error",
    metrics: "debug",
  });
  assert.ok(loaded.warnings.includes(
    "logging.packages.tonic (from agent.toml line 5): no such component, passed over",
  ));
});

Deno.test("[metadata] takes values from the file and from the environment, and shows neither", async () => {
  const loaded = await load({
    toml: '[metadata]\nX-Probe = "haproxy"\nauthorization = "env:TOKEN"\n',
    env: { TOKEN: "Bearer s3cret" },
  });
  assert.ok(loaded.ok);
  assert.deepEqual(Object.fromEntries(loaded.configuration.metadata), {
    "x-probe": "haproxy",
    authorization: "Bearer s3cret",
  });
  const shown = JSON.stringify(effectiveConfiguration(loaded.configuration));
  assert.match(shown, /"authorization":"\(hidden\)"/);
  assert.ok(!shown.includes("s3cret") && !shown.includes('"haproxy"'));
});

Deno.test("A configuration file may begin with a byte order mark, and have lines that end with CRLF", async () => {
  assert.equal(await valueOf("fall", { toml: "\ufefffall = 3\r\nrise = 2\r\n" }), 3);
});

Deno.test("loadConfiguration() refuses one port for both listeners, unless there is one listener", async () => {
  assert.deepEqual(await load({ args: ["--server-port", "9090"] }), {
    ok: false,
    mistakes: ["metrics_port (from its default): 9090 is server_port already, take another"],
  });
  assert.ok((await load({ args: ["--server-port", "9090", "--metrics-enabled", "false"] })).ok);
});

const LOOPBACK = ["--server-bind", "127.0.0.1"];

const WARNINGS: readonly [string, Given, readonly RegExp[]][] = [
  ["nothing on loopback", { args: LOOPBACK }, []],
  ["an agent open to the world", {}, [/^server_bind_address: .*0\.0\.0\.0.*allow_clients/]],
  ["an agent on one address beyond loopback", {
    toml: 'server_bind_address = ["127.0.0.1", "10.0.0.1"]',
  }, [/^server_bind_address: whoever reaches 10\.0\.0\.1 /]],
  ["nothing with allow_clients", { args: ["--allow-clients", "10.0.0.0/8"] }, []],
  ["nothing with allow_backends", { args: ["--allow-backends", "10.0.0.0/8"] }, []],
  ["a check that outlasts agent-inter", { args: [...LOOPBACK, "--check-timeout", "1951"] }, [
    /^check_timeout_ms: 1951 is more than 1950: .*agent-inter/,
  ]],
  ["nothing of a check that just fits", { args: [...LOOPBACK, "--check-timeout", "1950"] }, []],
  ["times meant in seconds", {
    args: [...LOOPBACK, "--check-timeout", "2"],
    env: { HAPROXY_AGENT_GRPC_CONNECT_TIMEOUT: "1", HAPROXY_AGENT_GRPC_RPC_TIMEOUT: "20" },
  }, [/^check_timeout_ms: 2 are milliseconds: /, /^grpc_connect_timeout_ms: 1 are milliseconds: /]],
  ["insecure_skip_verify", { args: LOOPBACK, toml: "[tls.lab]\ninsecure_skip_verify = true" }, [
    /^tls\.lab\.insecure_skip_verify: /,
  ]],
  ["a machine without CAs, for each profile that needs them", {
    args: LOOPBACK,
    toml: "[tls.public]\n[tls.lab]\ninsecure_skip_verify = true",
    machineCas: "",
  }, [
    /^tls_ca_file: checks with ssl are down\. .*no CA certificates.*: set tls_ca_file, or install ca-c/,
    /^tls\.public\.ca_file: checks with tls=public are down\. .*: set tls\.public\.ca_file, or install/,
    /^tls\.lab\.insecure_skip_verify: /,
  ]],
  ["CAs of the machine that are cut off, once for all profiles", {
    args: LOOPBACK,
    toml: "[tls.public]\n",
    machineCas: `${SHAPED}${SHAPED.slice(0, 40)}`,
  }, [
    /^\/etc\/ssl\/certs\/ca-certificates\.crt: CA certificates in it are left out: .* cut off\?$/,
  ]],
  ["metadata for any host", { args: LOOPBACK, toml: '[metadata]\nx-token = "a"' }, [
    /^metadata: whoever may ask can have it sent to any host: set allow_backends$/,
  ]],
  ["nothing of metadata for backends that are listed", {
    args: LOOPBACK,
    toml: 'allow_backends = ["10.0.0.0/8"]\n[metadata]\nx-token = "a"',
  }, []],
  ["metadata from an empty variable, which is left out", {
    args: LOOPBACK,
    toml: '[metadata]\nauthorization = "env:TOKEN"',
    env: { TOKEN: " " },
  }, [
    /^metadata\.authorization \(from agent\.toml line 2\): the variable TOKEN is empty, so authorization is /,
  ]],
  ["a log file's path without a log file", { args: [...LOOPBACK, "--log-file-path", "a"] }, [
    /^log_file_path: without log_destination = file /,
  ]],
  ["files to keep without rotation", {
    args: [...LOOPBACK, "--log-destination", "file", "--log-file-path", "a"],
    env: { HAPROXY_AGENT_LOG_FILE_MAX_FILES: "7" },
  }, [/^log_file_max_files: without log_file_rotation /]],
  ["nothing of files to keep with rotation", {
    args: [...LOOPBACK, "--log-destination", "file", "--log-file-path", "a"],
    toml: '[logging]\nfile_rotation = "daily"\nfile_max_files = 7',
  }, []],
  ["unknown variables", {
    args: LOOPBACK,
    env: {
      HAPROXY_AGENT_CHECK_MODE: "watch",
      HAPROXY_AGENT_SERVER_PROT: "1",
      OTHER: "x",
    },
  }, [
    /^HAPROXY_AGENT_CHECK_MODE: unknown variable/,
    /^HAPROXY_AGENT_SERVER_PROT: unknown variable \(did you mean HAPROXY_AGENT_SERVER_PORT\?\)$/,
  ]],
];

for (const [what, given, expected] of WARNINGS) {
  Deno.test(`loadConfiguration() warns of ${what}`, async () => {
    const loaded = await load(given);
    assert.ok(loaded.ok, JSON.stringify(loaded));
    assert.equal(loaded.warnings.length, expected.length, loaded.warnings.join("\n"));
    for (const [index, pattern] of expected.entries()) {
      assert.match(loaded.warnings[index] ?? "", pattern);
    }
  });
}

Deno.test("require_alpn holds for each TLS profile that does not say otherwise", async () => {
  const toml = "require_alpn = false\n[tls.lax]\n[tls.strict]\nrequire_alpn = true\n";
  for (const [general, unnamed, lax] of [["", false, false], ["true", true, true]] as const) {
    const loaded = await load({ toml, args: general === "" ? [] : ["--require-alpn", general] });
    assert.ok(loaded.ok);
    const required = Array.from(
      loaded.configuration.tlsProfiles,
      ([name, { settings }]) => [name, settings.requireAlpn],
    );
    assert.deepEqual(required, [["", unnamed], ["lax", lax], ["strict", true]]);
  }
});

for (const name of ["web.1", "node.01", "10.0.0.256", "xn--bcher-kva.example", "10.0.0.1", "::1"]) {
  Deno.test(`server_name of a TLS profile may be ${name}`, async () => {
    const loaded = await load({ toml: `[tls.a]\nserver_name = "${name}"\n` });
    assert.ok(loaded.ok);
    assert.equal(loaded.configuration.tlsProfiles.get("a")?.settings.serverName, name);
  });
}

for (const key of ["check_mode", "watch_verify_ms", "reuse_port"]) {
  Deno.test(`${key}, which there was once, is unknown like any other`, async () => {
    const { ok, ...rest } = await load({ toml: `${key} = "x"\n` });
    assert.equal(ok, false);
    const [mistake = ""] = "mistakes" in rest ? rest.mistakes : [];
    assert.match(mistake, new RegExp(`^${key} \\(from agent\\.toml line 1\\): unknown key`));
    const flag = `--${key.replace(/_ms$/, "").replaceAll("_", "-")}`;
    assert.match(readCommandLine([flag], SETTING_ROWS).mistakes[0] ?? "", /: unknown flag/);
  });
}
