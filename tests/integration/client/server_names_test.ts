// Names over TLS that a URL would refuse or change, or that look like addresses: the server is asked for the
// name that the request or the profile says, its certificate must be for it, and `:authority` is sent as asked.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import {
  startGoBackend,
  startPythonBackend,
  testWithGo,
  testWithPython,
} from "../../lab/backends/libraries/library_backends.ts";
import type { StartBackend } from "../../lab/backends/libraries/library_backends.ts";
import { wayTo } from "../../lab/backends/peers/front.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { ClientHellos } from "../../lab/backends/tls/client_hello.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

/** Names that are no addresses, and the one in the certificate. */
const NAMES: readonly (readonly [asked: string, certified: string])[] = [
  ["web.1", "web.1"],
  ["node.01", "node.01"],
  ["10.0.0.256", "10.0.0.256"],
  ["1.2.3.4.5", "1.2.3.4.5"],
  ["db-7.0x1f", "db-7.0x1f"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["WEB.Example", "web.example"],
  ["web.example", "WEB.example"],
  ["under_score.test", "under_score.test"],
  ["a.wild.test", "*.wild.test"],
];

/** Addresses, which are checked against the addresses in the certificate, and asked for without a name. */
const ADDRESSES = ["127.0.0.1", "10.0.0.255", "[2001:db8::1]"];

async function checkNames(start: StartBackend): Promise<void> {
  await using authority = await CertificateAuthority.create();
  const all = [...NAMES.map(([, name]) => name), ...ADDRESSES.map(unbracketed)];
  await using right = await start({ tls: await authority.issue("all", { names: all }) });
  const near = ["web.2", "web.01", "1", "example", "10.0.0.1", "wild.test", "*.a.wild.test"];
  await using wrong = await start({ tls: await authority.issue("near", { names: near }) });
  const hellos = new ClientHellos();
  await using way = wayTo(right.port, hellos.look);
  const flags = ["--tls-ca-file", authority.caFile, "--reply-reason", "true"];
  await withAgent({ flags }, async (agent) => {
    const mistakes: string[] = [];
    const judge = async (what: string, port: number, name: string, expected: RegExp) => {
      const reply = await agent.ask(`127.0.0.1 ${port} ssl ${name}\n`);
      if (!expected.test(reply)) mistakes.push(`${name}, ${what}: ${reply.trimEnd()}`);
    };
    for (const asked of [...NAMES.map(([name]) => name), ...ADDRESSES]) {
      const before = hellos.seen.length;
      await judge("certified", way.port, asked, /^up\b/);
      const [hello] = hellos.seen.slice(before);
      const sent = hello?.serverName?.toLowerCase();
      const allowed = serverNames(asked);
      if (!allowed.includes(sent)) mistakes.push(`${asked}: the server name is ${sent}`);
      if (`${hello?.alpn}` !== "h2") mistakes.push(`${asked}: ALPN is ${hello?.alpn}`);
      await judge("certified, with a port", way.port, `${asked}:8443`, /^up\b/);
      await judge("not certified", wrong.port, asked, /^down #tls: /);
    }
    assert.deepEqual(mistakes, []);
    if (start !== startGoBackend) return; // C core keeps the authority to itself
    const { recent } = await right.report();
    const asked = [...NAMES.map(([name]) => name), ...ADDRESSES];
    assert.deepEqual(
      new Set(recent.map((call) => call.authority)),
      new Set(asked.flatMap((name) => [name, `${name}:8443`])),
    );
  });
}

testWithGo(
  "a name that looks like an address, or is no URL's, is a server name like any other (Go)",
  async () => {
    await checkNames(startGoBackend);
  },
);

testWithPython(
  "a name that looks like an address, or is no URL's, is a server name like any other (C core)",
  async () => {
    await checkNames(startPythonBackend);
  },
);

testWithGo(
  "a profile's server_name is asked for and checked, whatever it looks like, and the authority stays",
  async () => {
    await using authority = await CertificateAuthority.create();
    const names = NAMES.map(([, name]) => name);
    await using backend = await startGoBackend({ tls: await authority.issue("all", { names }) });
    const hellos = new ClientHellos();
    await using way = wayTo(backend.port, hellos.look);
    await using directory = await TempDirectory.create();
    // Two that differ in case are one server name, and share a connection.
    const asked = NAMES.filter(([name]) => name !== "web.example");
    const profiles = asked.map(([name], index) =>
      `[tls.p${index}]\nca_file = "${authority.caFile}"\nserver_name = "${name}"\n`
    );
    const config = await directory.write("agent.toml", profiles.join(""));
    await withAgent({ flags: ["--config", config, "--reply-reason", "true"] }, async (agent) => {
      for (const [index, [name]] of asked.entries()) {
        const before = hellos.seen.length;
        const line = `127.0.0.1 ${way.port} ssl other.test tls=p${index}\n`;
        assert.match(await agent.ask(line), /^up\b/, name);
        const sent = hellos.seen[before]?.serverName?.toLowerCase();
        assert.ok(serverNames(name).includes(sent), `${name}: the server name is ${sent}`);
      }
      const { recent } = await backend.report();
      assert.deepEqual(new Set(recent.map((call) => call.authority)), new Set(["other.test"]));
    });
  },
);

/**
 * What may be sent as the server name. Deno's TLS (rustls) holds a name whose last label is a number for none,
 * so it is not sent; the certificate is checked for it all the same.
 */
function serverNames(asked: string): (string | undefined)[] {
  if (ADDRESSES.includes(asked)) return [undefined];
  const name = asked.toLowerCase();
  return /\.\d+$/.test(name) ? [name, undefined] : [name];
}

function unbracketed(address: string): string {
  return address.replace(/^\[|\]$/g, "");
}
