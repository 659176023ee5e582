import type { X509Certificate } from "node:crypto";
import { Gauge, type Registry } from "prom-client";

const DAY_MS = 24 * 60 * 60 * 1000;

/** A certificate that ends within so many days is warned of. */
const SOON_DAYS = 14;

/** A TLS profile as far as it goes here. */
interface ProfileWithChain {
  readonly name: string;
  /** The client certificate, and those of CAs that are sent along; empty without one. */
  readonly chain: readonly X509Certificate[];
}

/** A certificate that the agent shows to backends. */
export interface OwnCertificate {
  /** The TLS profile (`tls=NAME`) that shows it; empty for the one without a name. */
  readonly profile: string;
  readonly subject: string;
  readonly validFrom: Date;
  readonly validTo: Date;
}

/** @returns the certificates that some profiles show, those of CAs that they send along included */
export function ownCertificates(profiles: Iterable<ProfileWithChain>): OwnCertificate[] {
  return [...profiles].flatMap(({ name, chain }) =>
    chain.map(({ subject, validFrom, validTo }) => ({
      profile: name,
      subject: subject.replaceAll("\n", ", "),
      validFrom: new Date(validFrom),
      validTo: new Date(validTo),
    }))
  );
}

/** @returns what speaks against a certificate at a time: it is over, has not begun, or ends soon */
export function certificateWarning(
  { profile, subject, validFrom, validTo }: OwnCertificate,
  now: Date,
): string | undefined {
  const setting = profile === "" ? "tls_cert_file" : `tls.${profile}.cert_file`;
  const certificate = `${setting}: the certificate ${subject}`;
  if (now >= validTo) return `${certificate} expired at ${validTo.toISOString()}`;
  if (now < validFrom) return `${certificate} is not valid before ${validFrom.toISOString()}`;
  const days = (validTo.getTime() - now.getTime()) / DAY_MS;
  if (days > SOON_DAYS) return undefined;
  const left = days < 2 ? "within two days" : `in ${Math.floor(days)} days`;
  return `${certificate} expires ${left}, at ${validTo.toISOString()}`;
}

/** Adds when the certificates end, looked up at each scrape. */
export function addCertificateMetrics(
  registry: Registry,
  certificates: () => readonly OwnCertificate[],
): void {
  new Gauge({
    name: "haproxy_grpc_agent_certificate_expiry_timestamp_seconds",
    help: "When the client certificate of a TLS profile, or one sent along with it, ends first",
    labelNames: ["profile"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [profile, group] of Map.groupBy(certificates(), ({ profile }) => profile)) {
        this.set({ profile }, Math.min(...group.map(({ validTo }) => validTo.getTime())) / 1000);
      }
    },
  });
}
