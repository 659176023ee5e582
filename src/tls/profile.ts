import { createHash, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { reasonOf } from "../describe_error.ts";
import { handshakeProblem, keyMismatch } from "./client_certificate.ts";
import type { MachineCas } from "./machine_cas.ts";
import { certificatesOf, holdsPrivateKey, type PrivateKey, privateKeyOf } from "./pem.ts";

/** The settings of a TLS profile: paths of PEM files, and how the backend is verified. */
export interface TlsProfileSettings {
  /** CAs to trust. @default those of the machine */
  readonly caFile?: string | undefined;
  /** Client certificate with its chain. */
  readonly certFile?: string | undefined;
  /** Its key. @default {certFile} */
  readonly keyFile?: string | undefined;
  /** SNI and the name looked for in the certificate, instead of the request's. */
  readonly serverName?: string | undefined;
  /** Accepts any certificate. @default {false} */
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
  /** The client certificate, and behind it those of CAs that are sent along; empty without one. */
  readonly chain: readonly X509Certificate[];
  /** Why no backend can be verified: the machine's CAs are needed, and there are none. */
  readonly lacksCas: string | undefined;
  /**
   * CAs and client certificate, parsed at the first call: most agents never speak TLS.
   *
   * @throws {Error} where {@linkcode TlsProfile.lacksCas}, with what to do about it, or no CA is in date
   */
  context(): SecureContext;
  /**
   * Equal for two profiles exactly if they trust, show and demand the same: the content of their files counts, not
   * the files' names. By it a reload keeps the connections for which it changes nothing. Computed at the first use;
   * never throws.
   */
  readonly fingerprint: string;
}

/** A TLS profile, or what is wrong with its files. */
export type LoadedTlsProfile =
  | { readonly ok: true; readonly profile: TlsProfile }
  | { readonly ok: false; readonly mistakes: readonly TlsFileMistake[] };

/**
 * Reads the files of a TLS profile, and tries a client certificate out. Node would accept any text as CAs, certificate
 * and key, and fail at each handshake.
 *
 * @param name the profile's name in requests (`tls=NAME`); empty for the one without a name
 * @param readTextFile reads a file; throws when it cannot
 * @param machineCas the CAs that are trusted where no `caFile` is set
 */
export async function loadTlsProfile(
  name: string,
  settings: TlsProfileSettings,
  readTextFile: (path: string) => string,
  machineCas: MachineCas,
): Promise<LoadedTlsProfile> {
  const mistakes: TlsFileMistake[] = [];
  const read: ReadFile = (setting, path, parse) => {
    if (path === undefined) return undefined;
    try {
      return parse(readTextFile(path));
    } catch (error) {
      mistakes.push({ setting, path, reason: reasonOf(error) });
      return undefined;
    }
  };
  const cas = read("ca_file", settings.caFile, certificatesOf);
  let client = readClientCertificate(settings, read);
  // Both files may have been replaced between the two reads, as Kubernetes does it: once more.
  if (client.mismatch !== undefined) client = readClientCertificate(settings, read);
  const { chain, key, mismatch } = client;
  // HAProxy's `crt` has certificate and key in one file.
  const keyFile = settings.keyFile ?? settings.certFile;
  if (key !== undefined && keyFile !== undefined && chain.length > 0) {
    const setting = settings.keyFile === undefined ? "cert_file" : "key_file";
    const reason = mismatch ?? await handshakeProblem(pairOf(client), chain);
    if (reason !== undefined) mistakes.push({ setting, path: keyFile, reason });
  }
  if (mistakes.length > 0) return { ok: false, mistakes };
  return { ok: true, profile: new LoadedProfile(name, settings, cas, client, machineCas) };
}

/** A profile whose files have been read. */
class LoadedProfile implements TlsProfile {
  readonly name: string;
  readonly settings: TlsProfileSettings;
  readonly chain: readonly X509Certificate[];
  readonly #cas: readonly string[] | undefined;
  readonly #client: ClientCertificate;
  readonly #machineCas: MachineCas;
  /** The context, and the period in which it trusts the right CAs. */
  #made: (Period & { readonly context: SecureContext }) | undefined;
  #fingerprint: string | undefined;

  /** @param cas those of `caFile`; `undefined` where it is not set */
  constructor(
    name: string,
    settings: TlsProfileSettings,
    cas: readonly string[] | undefined,
    client: ClientCertificate,
    machineCas: MachineCas,
  ) {
    this.name = name;
    this.settings = settings;
    this.chain = client.chain;
    this.#cas = cas;
    this.#client = client;
    this.#machineCas = machineCas;
    // Not at the first check: by then the file may be gone, or there may be no descriptor to read it.
    if (this.#needsMachineCas) machineCas.find();
  }

  context(): SecureContext {
    const now = Date.now();
    const made = this.#made;
    // The clock may also have been set back.
    if (made !== undefined && made.since <= now && now < made.until) return made.context;
    const { inDate, ...period } = inDateAt(now, this.#trusted);
    const { lacksCas } = this;
    if (lacksCas !== undefined) throw new Error(lacksCas);
    if (inDate.length === 0 && !this.#isUnverified) {
      throw new Error("Every CA certificate to verify with has expired, or is not valid yet");
    }
    const context = createSecureContext({ ca: inDate, ...pairOf(this.#client) });
    this.#made = { context, ...period };
    return context;
  }

  get lacksCas(): string | undefined {
    const problem = this.#needsMachineCas ? this.#machineCas.problem : undefined;
    if (problem === undefined) return undefined;
    const setting = this.name === "" ? "tls_ca_file" : `tls.${this.name}.ca_file`;
    return "The agent's machine has no CA certificates to verify with: set " +
      `${setting}, or install ca-certificates (${problem})`;
  }

  get fingerprint(): string {
    return this.#fingerprint ??= fingerprintOf(this.settings, this.#trusted, this.#client);
  }

  get #isUnverified(): boolean {
    return this.settings.insecureSkipVerify === true;
  }

  get #needsMachineCas(): boolean {
    return this.#cas === undefined && !this.#isUnverified;
  }

  /** Without verification no CAs are needed. */
  get #trusted(): readonly string[] {
    return this.#isUnverified ? [] : this.#cas ?? this.#machineCas.certificates;
  }
}

/**
 * Reads and parses a file, and notes what is wrong with it.
 *
 * @returns `undefined` where no path is set, or something is wrong
 */
type ReadFile = <Content>(
  setting: TlsFileMistake["setting"],
  path: string | undefined,
  parse: (text: string) => Content,
) => Content | undefined;

/** A client certificate and its key, as far as they could be read. */
interface ClientCertificate {
  /** The certificate, and behind it those of CAs. */
  readonly chain: readonly X509Certificate[];
  /** The PEM block of each. */
  readonly pems: readonly string[];
  readonly key: PrivateKey | undefined;
  /** Why the key is not that of the certificate; `undefined` where it is, or one of them is missing. */
  readonly mismatch: string | undefined;
}

function readClientCertificate(
  { certFile, keyFile }: TlsProfileSettings,
  read: ReadFile,
): ClientCertificate {
  const pems = read("cert_file", certFile, certificatesOf) ?? [];
  const chain = pems.map((pem) => new X509Certificate(pem));
  const key = keyFile === undefined
    ? pems.length === 0 ? undefined : read("cert_file", certFile, keyBesideCertificate)
    : read("key_file", keyFile, privateKeyOf);
  const isPair = key !== undefined && chain.length > 0;
  return { chain, pems, key, mismatch: isPair ? keyMismatch(chain, key.key) : undefined };
}

/** @returns the certificate with its chain, and the key, as node:tls takes them; nothing without a key */
function pairOf(
  { pems, key }: ClientCertificate,
): { readonly cert?: string; readonly key?: string } {
  return key === undefined ? {} : { cert: pems.join("\n"), key: key.pem };
}

function keyBesideCertificate(text: string): PrivateKey {
  if (!holdsPrivateKey(text)) {
    throw new Error("there is no private key in it, and no key_file is set: they come together");
  }
  return privateKeyOf(text);
}

function fingerprintOf(
  { serverName, insecureSkipVerify, requireAlpn }: TlsProfileSettings,
  trusted: readonly string[],
  { pems, key }: ClientCertificate,
): string {
  // JSON, unlike plain joining, cannot give two different lists the same text.
  const flags = [serverName ?? null, insecureSkipVerify === true, requireAlpn !== false];
  return createHash("sha256").update(JSON.stringify([flags, trusted, pems, key?.pem ?? ""])).digest(
    "hex",
  );
}

/** From one time to another, the second excluded; in milliseconds since 1970. */
interface Period {
  readonly since: number;
  readonly until: number;
}

/**
 * Leaves out CAs that have expired or are not valid yet: OpenSSL, and so HAProxy, accepts nothing that they have
 * issued, while rustls does not look at their dates.
 *
 * @param now in milliseconds since 1970
 * @returns the CAs that are in date, and the period around `now` in which just these are
 */
function inDateAt(now: number, cas: readonly string[]): Period & { readonly inDate: string[] } {
  let [since, until] = [-Infinity, Infinity];
  const inDate = cas.filter((pem) => {
    const { validFrom, validTo } = new X509Certificate(pem);
    const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
    for (const change of [from, to]) {
      if (change > now) until = Math.min(until, change);
      else since = Math.max(since, change);
    }
    return from <= now && now < to;
  });
  return { inDate, since, until };
}
