import { ErrorCode, errorName } from "../http2/frame.ts";

/** The status codes of gRPC, by their number (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
export const STATUS_CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** The name of a status code. */
export type StatusCode = (typeof STATUS_CODES)[number];

/** @returns the name of a code, or `code 99` for one that gRPC does not know */
export function statusName(code: number): string {
  return STATUS_CODES[code] ?? `code ${code}`;
}

/**
 * What an HTTP status in place of gRPC's means.
 * https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
 */
export function statusOfHttp(httpStatus: number): StatusCode {
  switch (httpStatus) {
    case 400:
      return "INTERNAL";
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "UNIMPLEMENTED";
    case 429:
    case 502:
    case 503:
    case 504:
      return "UNAVAILABLE";
    default:
      return "UNKNOWN";
  }
}

/**
 * What an RST_STREAM in place of an answer means.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
 */
export function statusOfReset(
  code: number,
): { readonly code: StatusCode; readonly detail: string } {
  const detail = `The server reset the stream (${errorName(code)})`;
  switch (code) {
    case ErrorCode.CANCEL:
      return { code: "CANCELLED", detail };
    case ErrorCode.ENHANCE_YOUR_CALM:
      return { code: "RESOURCE_EXHAUSTED", detail };
    case ErrorCode.INADEQUATE_SECURITY:
      return { code: "PERMISSION_DENIED", detail };
    case ErrorCode.REFUSED_STREAM:
      return { code: "UNAVAILABLE", detail };
    default:
      return { code: "INTERNAL", detail };
  }
}
