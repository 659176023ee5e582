import { createHash, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { reasonOf } from "../describe_error.ts";
import { certificatesOf, privateKeyOf } from "./pem.ts";

/** What a TLS profile is made of: paths of PEM files and how to check the backend. */
export interface TlsProfileSettings {
  /** CAs to trust; without it, those of the machine. */
  readonly caFile?: string | undefined;
  /** Client certificate with its chain; comes with `keyFile`. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** SNI and the name looked for in the certificate, instead of the request's. */
  readonly serverName?: string | undefined;
  /** Takes any certificate. */
  readonly insecureSkipVerify?: boolean | undefined;
  /** Refuses a server that does not offer HTTP/2 (ALPN). @default {true} */
  readonly requireAlpn?: boolean | undefined;
}

/** A file that cannot be used: which one it is, its path, and why. */
export interface TlsFileMistake {
  readonly setting: "ca_file" | "cert_file" | "key_file";
  readonly path: string;
  readonly reason: string;
}

/** TLS towards backends, ready to be used. */
export interface TlsProfile {
  readonly name: string;
  readonly settings: TlsProfileSettings;
  /** CAs and client certificate, parsed at the first call: most agents never speak TLS. */
  readonly context: () => SecureContext;
  /**
   * Equal for two profiles exactly when the same is trusted, shown and demanded: the certificates and
   * the key themselves, whatever their files are called, and the settings. So connections can be kept
   * where a reload changes nothing for them. Worked out when first asked for.
   */
  readonly fingerprint: string;
}

/** A TLS profile, or all of its files that cannot be used. */
export type LoadedTlsProfile =
  | { readonly ok: true; readonly profile: TlsProfile }
  | { readonly ok: false; readonly mistakes: readonly TlsFileMistake[] };

/**
 * Reads the files of a TLS profile. Node takes any text for CAs, certificate and key, and fails at each
 * handshake instead, so they are checked here.
 *
 * @param name the profile's name in requests (`tls=NAME`); empty for the one without a name
 * @param readTextFile reads a file; throws when it cannot
 * @param machineCas gives the CAs that are trusted where no `caFile` is set
 */
export function loadTlsProfile(
  name: string,
  settings: TlsProfileSettings,
  readTextFile: (path: string) => string,
  machineCas: () => readonly string[],
): LoadedTlsProfile {
  const { caFile, certFile, keyFile } = settings;
  const mistakes: TlsFileMistake[] = [];
  const read = <Content>(
    setting: TlsFileMistake["setting"],
    path: string | undefined,
    parse: (text: string) => Content,
  ): Content | undefined => {
    if (path === undefined) return undefined;
    try {
      return parse(readTextFile(path));
    } catch (error) {
      mistakes.push({ setting, path, reason: reasonOf(error) });
      return undefined;
    }
  };
  const ca = read("ca_file", caFile, certificatesOf);
  const chain = read("cert_file", certFile, certificatesOf);
  const key = read("key_file", keyFile, privateKeyOf);
  const [certificate] = chain ?? [];
  if (certificate !== undefined && key !== undefined && keyFile !== undefined) {
    if (!new X509Certificate(certificate).checkPrivateKey(key)) {
      const reason = "this is not the key of the certificate in cert_file";
      mistakes.push({ setting: "key_file", path: keyFile, reason });
    }
  }
  if (mistakes.length > 0) return { ok: false, mistakes };
  // Without verification no CA is asked about anything.
  const trusted = once(() => settings.insecureSkipVerify === true ? [] : ca ?? machineCas());
  const pem = key?.export({ type: "pkcs8", format: "pem" }).toString();
  const context = once(() =>
    createSecureContext({
      ca: [...(ca ?? machineCas())],
      ...(chain === undefined ? {} : { cert: chain.join("\n") }),
      ...(pem === undefined ? {} : { key: pem }),
    })
  );
  const fingerprint = once(() => fingerprintOf(settings, trusted(), chain ?? [], pem ?? ""));
  const profile: TlsProfile = {
    name,
    settings,
    context,
    get fingerprint() {
      return fingerprint();
    },
  };
  return { ok: true, profile };
}

function fingerprintOf(
  { serverName, insecureSkipVerify, requireAlpn }: TlsProfileSettings,
  trusted: readonly string[],
  chain: readonly string[],
  key: string,
): string {
  // JSON keeps apart what stands in different places; the names of files are left out.
  const flags = [serverName ?? null, insecureSkipVerify === true, requireAlpn !== false];
  return createHash("sha256").update(JSON.stringify([flags, trusted, chain, key])).digest("hex");
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}
