/** Where Debian's keys are, as its package debian-archive-keyring has them. */
const DEFAULT_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The keyring against which packages are checked: `DEBIAN_KEYRING`, or this machine's own. */
export async function debianKeyring(): Promise<string> {
  const keyring = Deno.env.get("DEBIAN_KEYRING") ?? DEFAULT_KEYRING;
  await Deno.stat(keyring).catch(() => {
    throw new Error(`${keyring} is missing: install debian-archive-keyring`);
  });
  return keyring;
}

/** The mirror of Debian's main archive: `DEBIAN_MIRROR`, or that of this machine's apt sources. */
export async function debianMirror(signal?: AbortSignal): Promise<string> {
  const mirror = Deno.env.get("DEBIAN_MIRROR") ?? await configuredMirror(signal);
  if (mirror !== undefined) return mirror;
  throw new Error("apt's sources name no mirror of Debian: set DEBIAN_MIRROR to one");
}

async function configuredMirror(signal?: AbortSignal): Promise<string | undefined> {
  const format = "$(REPO_URI) $(ORIGIN) $(CODENAME)";
  const { stdout } = await new Deno.Command("apt-get", {
    args: ["indextargets", "--format", format, "Created-By: Packages"],
    ...signal && { signal },
  }).output();
  return new TextDecoder().decode(stdout).split("\n").map((line) => line.split(" "))
    .find(([, origin, codename]) => origin === "Debian" && /^[a-z]+$/.test(codename ?? ""))?.[0];
}
