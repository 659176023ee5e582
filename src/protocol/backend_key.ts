import type { CheckRequest } from "./request.ts";

/** @returns a text that is the same for requests that ask the same of the same backend */
export function backendKey(request: CheckRequest): string {
  const { host, port, tls, tlsProfile, authority, service } = request;
  return `${host} ${port} ${tls ? `ssl=${tlsProfile}` : "no-ssl"} ${authority} ${service}`;
}
