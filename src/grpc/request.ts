import { encodeHeaders, headerListBytes } from "../http2/hpack.ts";
import type { StreamRequest } from "../http2/stream.ts";
import { encodeHealthRequest } from "./health.ts";
import { isDecided } from "./response.ts";

const PATH = "/grpc.health.v1.Health/Check";
const USER_AGENT = "haproxy-grpc-agent";

/** The longest value of `grpc-timeout`, in its units. */
const MAX_TIMEOUT_MS = 99_999_999;

/** A health call, encoded except for its deadline. */
export interface HealthCall extends StreamRequest {
  /** Equal for calls that ask the same. */
  readonly key: string;
  /** @returns the header fields with a deadline, encoded for HPACK */
  readonly headerBlock: (timeoutMs: number) => Uint8Array;
}

/**
 * Encodes a call of grpc.health.v1.Health/Check.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
 *
 * @param metadata name to value, in ASCII
 */
export function encodeHealthCall(
  { authority, tls, service }: {
    readonly authority: string;
    readonly tls: boolean;
    readonly service: string;
  },
  metadata: ReadonlyMap<string, string>,
): HealthCall {
  const fields = [
    { name: ":method", value: "POST" },
    { name: ":scheme", value: tls ? "https" : "http" },
    { name: ":path", value: PATH },
    { name: ":authority", value: authority },
    { name: "te", value: "trailers" },
    { name: "content-type", value: "application/grpc" },
    { name: "user-agent", value: USER_AGENT },
    ...[...metadata].map(([name, value]) => ({ name, value, sensitive: true })),
  ];
  const constant = encodeHeaders(fields);
  const timeout = { name: "grpc-timeout", value: timeoutValue(MAX_TIMEOUT_MS) };
  let lastValue = "";
  let lastBlock = constant;
  return {
    key: `${authority} ${service}`,
    // Most calls have the same time, so most blocks are the same.
    headerBlock: (timeoutMs) => {
      const value = timeoutValue(timeoutMs);
      if (value === lastValue) return lastBlock;
      const varying = encodeHeaders([{ name: "grpc-timeout", value }]);
      lastBlock = new Uint8Array(constant.length + varying.length);
      lastBlock.set(constant);
      lastBlock.set(varying, constant.length);
      lastValue = value;
      return lastBlock;
    },
    headerListBytes: headerListBytes([...fields, timeout]),
    body: encodeHealthRequest(service),
    isDecided,
  };
}

function timeoutValue(timeoutMs: number): string {
  return `${Math.min(MAX_TIMEOUT_MS, Math.max(1, Math.ceil(timeoutMs)))}m`;
}
