import assert from "node:assert/strict";
import { loadConfiguration } from "../../../src/config/load.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";

// Each file in bad_config/ is a configuration that must be refused: *.toml as the file of --config, *.env
// as the environment (NAME=VALUE lines). Its comments that begin with "#!" are all the mistakes that it
// must give, to the letter and in this order.

const FOLDER = new URL("bad_config/", import.meta.url);

/** PEM files that the configurations name; made anew, since certificates run out. */
async function pemFiles(): Promise<ReadonlyMap<string, string>> {
  await using authority = await CertificateAuthority.create();
  const one = await authority.issue("one", { names: ["one"], use: "client" });
  const other = await authority.issue("other", { names: ["other"], use: "client" });
  return new Map([
    ["one.pem", await Deno.readTextFile(one.cert)],
    ["other-key.pem", await Deno.readTextFile(other.key)],
    ["text.pem", "no certificate at all\n"],
    ["broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
  ]);
}

for (const { name } of Deno.readDirSync(FOLDER)) {
  Deno.test(`bad_config/${name} gives exactly the mistakes that it says`, async () => {
    const text = await Deno.readTextFile(new URL(name, FOLDER));
    const files = new Map([...await pemFiles(), [name, text]]);
    const lines = text.split("\n");
    const environment = Object.fromEntries(
      lines.filter((line) => name.endsWith(".env") && /^[A-Z]/.test(line))
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    const loaded = await loadConfiguration({
      flags: new Map(),
      configFile: name.endsWith(".toml") ? name : undefined,
      environment,
      readTextFile: (path) => {
        const content = files.get(path);
        if (content === undefined) throw new Error("No such file or directory (os error 2)");
        return content;
      },
    });
    assert.deepEqual(loaded, {
      ok: false,
      mistakes: lines.filter((line) => line.startsWith("#! ")).map((line) => line.slice(3)),
    });
  });
}
