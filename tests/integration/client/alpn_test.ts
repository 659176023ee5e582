// What a TLS server says of HTTP/2 by ALPN: `ssl alpn h2` of HAProxy answers 502 where it does not say h2, so the
// agent must not say `up` there.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import { ScriptedServer } from "../../lab/backends/peers/scripted_server.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

/** What a server offers, what the agent says of it, and what with `require_alpn = false`. */
const OFFERS: readonly (readonly [alpn: string[] | undefined, always: RegExp, lenient: RegExp])[] =
  [
    [["h2"], /^up\b/, /^up\b/],
    [["http/1.1", "h2"], /^up\b/, /^up\b/],
    [["http/1.1"], /^down #tls: .*(ALPN|HTTP\/2|http\/1\.1)/, /^down #tls: /],
    [["http/1.0", "spdy/3"], /^down #tls: .*(ALPN|HTTP\/2)/, /^down #tls: /],
    [undefined, /^down #tls: .*HTTP\/2 \(ALPN\)/, /^up\b/],
  ];

async function withServers(test: (servers: ScriptedServer[], caFile: string) => Promise<void>) {
  await using authority = await CertificateAuthority.create();
  const files = await authority.issueServer();
  await using stack = new AsyncDisposableStack();
  const servers: ScriptedServer[] = [];
  for (const [alpn] of OFFERS) {
    const tls = alpn === undefined ? files : { ...files, alpn };
    servers.push(stack.use(await ScriptedServer.start({ tls })));
  }
  await test(servers, authority.caFile);
}

Deno.test("a TLS server is up only where ALPN says h2, and told as tls otherwise", async () => {
  await withServers(async (servers, caFile) => {
    const flags = ["--reply-reason", "true", "--tls-ca-file", caFile];
    await withAgent({ flags }, async (agent) => {
      for (const [index, [alpn, expected]] of OFFERS.entries()) {
        for (let nth = 1; nth <= 2; nth++) {
          const reply = await agent.ask(servers[index]?.line() ?? "");
          assert.match(reply, expected, `It offers ${alpn}, check ${nth}`);
        }
      }
    });
  });
});

Deno.test("require_alpn = false takes a server that says nothing of ALPN, and none that says http/1.1", async () => {
  await withServers(async (servers, caFile) => {
    const flags = ["--reply-reason", "true", "--tls-ca-file", caFile, "--require-alpn", "false"];
    await withAgent({ flags }, async (agent) => {
      for (const [index, [alpn, , expected]] of OFFERS.entries()) {
        for (let nth = 1; nth <= 2; nth++) {
          const reply = await agent.ask(servers[index]?.line() ?? "");
          assert.match(reply, expected, `It offers ${alpn}, check ${nth}`);
        }
      }
    });
  });
});

Deno.test("require_alpn of a profile holds for that profile", async () => {
  await withServers(async (servers, caFile) => {
    await using directory = await TempDirectory.create();
    const ca = `ca_file = "${caFile}"\n`;
    const config = await directory.write(
      "agent.toml",
      `tls_${ca}[tls.lenient]\n${ca}require_alpn = false\n[tls.strict]\n${ca}`,
    );
    await withAgent({ flags: ["--config", config, "--reply-reason", "true"] }, async (agent) => {
      const silent = servers[OFFERS.findIndex(([alpn]) => alpn === undefined)];
      const ask = (option: string) => agent.ask(silent?.line({ option }) ?? "");
      for (let nth = 1; nth <= 2; nth++) {
        assert.match(await ask("tls=lenient"), /^up\b/);
        assert.match(await ask("tls=strict"), /^down #tls: /);
        assert.match(await ask(""), /^down #tls: /);
      }
    });
  });
});
