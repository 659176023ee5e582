import type { CheckRequest } from "./request.ts";

/** What is asked of which backend: a request without the options that do not change the question. */
export type BackendQuestion = Pick<
  CheckRequest,
  "host" | "port" | "tls" | "tlsProfile" | "authority" | "service"
>;

/** @returns a text that is the same for requests that ask the same of the same backend */
export function backendKey(question: BackendQuestion): string {
  const { host, port, tls, tlsProfile, authority, service } = question;
  return `${host} ${port} ${tls ? `ssl=${tlsProfile}` : "no-ssl"} ${authority} ${service}`;
}

/** @returns what {@linkcode backendKey} was given; none of it holds a blank */
export function readBackendKey(key: string): BackendQuestion {
  const [host = "", port = "", flag = "", authority = "", service = ""] = key.split(" ");
  const [, tlsProfile] = /^ssl=(.*)$/.exec(flag) ?? [];
  return {
    host,
    port: Number(port),
    tls: tlsProfile !== undefined,
    tlsProfile: tlsProfile ?? "",
    authority,
    service,
  };
}
