import project from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url).pathname;

/** What `deno info --json` says. */
interface Info {
  readonly modules: readonly { readonly npmPackage?: string }[];
  readonly npmPackages: Readonly<Record<string, NpmPackage>>;
}

interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** Keys of {@linkcode Info.npmPackages}. */
  readonly dependencies: readonly string[];
  readonly localPath: string;
}

/** Of deno.lock: what was downloaded has these hashes. */
interface Lock {
  readonly npm: Readonly<Record<string, { readonly integrity: string }>>;
}

const { npm: locked }: Lock = JSON.parse(await Deno.readTextFile(`${ROOT}deno.lock`));
const { modules, npmPackages } = await moduleInfo();
const imported = [...new Set(modules.flatMap(({ npmPackage }) => npmPackage ?? []))].toSorted();
const needed = [...withDependencies(imported)].toSorted();

/**
 * Gives what the agent is made of (CycloneDX 1.6): Deno, the packages that src imports and those that they
 * depend on. Of the packages the bundle holds only what is used.
 */
export function billOfMaterials(): Record<string, unknown> {
  const agent = {
    type: "application",
    "bom-ref": "haproxy-grpc-agent",
    name: "haproxy-grpc-agent",
    version: project.version,
    licenses: [{ expression: project.license }],
  };
  const deno = {
    type: "platform",
    "bom-ref": `pkg:github/denoland/deno@v${Deno.version.deno}`,
    name: "deno",
    version: Deno.version.deno,
    purl: `pkg:github/denoland/deno@v${Deno.version.deno}`,
    licenses: [{ expression: "MIT" }],
  };
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: agent },
    components: [deno, ...needed.map(component)],
    dependencies: [
      { ref: agent["bom-ref"], dependsOn: [deno["bom-ref"], ...imported.map(purl)] },
      ...needed.map((key) => ({ ref: purl(key), dependsOn: named(key).dependencies.map(purl) })),
    ],
  };
}

/** Gives the licence of each package that the agent is made of, by its name and version. */
export async function packageLicences(): Promise<Map<string, string>> {
  const texts = await Promise.all(needed.map(async (key) => {
    const { name, version, localPath } = named(key);
    const files = [...Deno.readDirSync(localPath)].map((entry) => entry.name)
      .filter((file) => /^(licen[cs]e|notice)/i.test(file)).toSorted();
    const read = files.map((file) => Deno.readTextFile(`${localPath}/${file}`));
    const said = (await Promise.all(read)).map((text) => text.trim()).join("\n\n");
    return [`${name} ${version}`, said || `Licence: ${licenceOf(key)}`] as const;
  }));
  return new Map(texts);
}

async function moduleInfo(): Promise<Info> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "src/main.ts"],
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("Deno cannot list the modules of the agent");
  return JSON.parse(new TextDecoder().decode(stdout));
}

function withDependencies(keys: Iterable<string>, found = new Set<string>()): Set<string> {
  for (const key of keys) {
    if (found.has(key)) continue;
    found.add(key);
    withDependencies(named(key).dependencies, found);
  }
  return found;
}

function component(key: string) {
  const { name, version } = named(key);
  return {
    type: "library",
    "bom-ref": purl(key),
    name,
    version,
    purl: purl(key),
    hashes: [{ alg: "SHA-512", content: sha512(key) }],
    licenses: [{ expression: licenceOf(key) }],
  };
}

function purl(key: string): string {
  const { name, version } = named(key);
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** The hash that the lock file wants the package to have, in hexadecimal digits. */
function sha512(key: string): string {
  const [algorithm, base64 = ""] = locked[key]?.integrity.split("-") ?? [];
  if (algorithm !== "sha512") throw new Error(`deno.lock has no SHA-512 of ${key}`);
  return Uint8Array.fromBase64(base64).toHex();
}

function named(key: string): NpmPackage {
  const found = npmPackages[key];
  if (found === undefined) throw new Error(`Deno does not know the package ${key}`);
  return found;
}

/** What package.json says, an SPDX expression. */
function licenceOf(key: string): string {
  return JSON.parse(Deno.readTextFileSync(`${named(key).localPath}/package.json`)).license;
}
