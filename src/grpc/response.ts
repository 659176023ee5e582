import { ErrorCode, errorName } from "../http2/frame.ts";
import type { HeaderField } from "../http2/hpack.ts";
import type { HttpResponse } from "../http2/stream.ts";
import { decodeHealthResponse, MAX_MESSAGE_BYTES, MessageError, PREFIX_BYTES } from "./health.ts";

/** What a whole answer says: the backend's serving status, or gRPC's status when the call failed. */
export type HealthAnswer =
  | { readonly ok: true; readonly status: string }
  | { readonly ok: false; readonly code: string; readonly detail: string };

/** `application/grpc`, with `+proto` or parameters, in any case. */
const GRPC_CONTENT = /^application\/grpc(\+proto)?[ \t]*(;|$)/i;

const GRPC_STATUS = /^[0-9]{1,9}$/;

/** How many characters are shown of a value that the peer is free to make up. */
const MAX_SHOWN = 100;

/**
 * Whether what has come of an answer decides already, so that the rest is of no use: a proxy's page, or a
 * message that is too long, or more than one.
 *
 * @param body so far
 */
export function isDecided(
  status: number,
  headers: readonly HeaderField[],
  body: Uint8Array,
): boolean {
  if (status !== 200 || !isGrpc(headers)) return true;
  if (body.length < PREFIX_BYTES) return false;
  const length = lengthOf(body);
  return length > MAX_MESSAGE_BYTES || body.length > PREFIX_BYTES + length;
}

/**
 * Reads the answer to a call of grpc.health.v1.Health/Check, strictly: a proxy's page, or half an answer,
 * must not pass for a healthy backend.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
 *
 * @returns what it says; never throws
 */
export function readHealthAnswer(response: HttpResponse): HealthAnswer {
  const { status, headers, trailers } = response;
  if (status !== 200) return readHttpError(response);
  const early = countOf(headers, "grpc-status");
  const statuses = early + countOf(trailers, "grpc-status");
  const trailersOnly = !response.truncated && trailers.length === 0 && response.body.length === 0;
  if (!isGrpc(headers) && !(trailersOnly && countOf(headers, "content-type") === 0)) {
    return failed("UNKNOWN", `The answer is not gRPC: HTTP 200${contentTypeShown(headers)}`);
  }
  if (response.truncated) return failed("RESOURCE_EXHAUSTED", bodyTooLong(response.body));
  const grpcStatus = valueOf(headers, "grpc-status") ?? valueOf(trailers, "grpc-status");
  if (grpcStatus === undefined) return failed("UNKNOWN", "The answer has no grpc-status");
  if (statuses > 1) return failed("UNKNOWN", `The answer has grpc-status ${statuses} times`);
  if (early > 0 && !trailersOnly) {
    return failed("UNKNOWN", "The grpc-status came before the message");
  }
  if (!GRPC_STATUS.test(grpcStatus)) {
    return failed("UNKNOWN", `The grpc-status is no number: ${shown(grpcStatus)}`);
  }
  const code = Number(grpcStatus);
  if (code !== 0) {
    return { ok: false, code: statusName(code), detail: messageOf([...headers, ...trailers]) };
  }
  return readBody(response.body);
}

/** What comes with another HTTP status than 200 is no success, but its gRPC status says more of why. */
function readHttpError({ status, headers, trailers }: HttpResponse): HealthAnswer {
  const fields = [...headers, ...trailers];
  const http = `HTTP ${status}${contentTypeShown(headers)}`;
  const grpcStatus = valueOf(fields, "grpc-status") ?? "";
  const code = GRPC_STATUS.test(grpcStatus) ? Number(grpcStatus) : 0;
  if (code === 0) return failed(statusOfHttp(status), http);
  const message = messageOf(fields);
  return { ok: false, code: statusName(code), detail: [http, message].filter(Boolean).join(": ") };
}

function readBody(body: Uint8Array): HealthAnswer {
  const flag = body[0];
  if (flag === undefined) return failed("INTERNAL", "The answer is OK without a message");
  if (body.length < PREFIX_BYTES) return failed("INTERNAL", "The message breaks off");
  if (flag === 1) return failed("INTERNAL", "The message is compressed");
  if (flag !== 0) return failed("INTERNAL", `The message has the unknown flags ${flag}`);
  const length = lengthOf(body);
  if (length > MAX_MESSAGE_BYTES) return failed("RESOURCE_EXHAUSTED", messageTooLong(length));
  const end = PREFIX_BYTES + length;
  if (body.length < end) return failed("INTERNAL", "The message breaks off");
  if (body.length > end) return failed("INTERNAL", "There is more than one message");
  try {
    return { ok: true, status: decodeHealthResponse(body.subarray(PREFIX_BYTES, end)) };
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    return failed("INTERNAL", `The message is no HealthCheckResponse: ${error.message}`);
  }
}

function bodyTooLong(body: Uint8Array): string {
  const length = lengthOf(body);
  return length > MAX_MESSAGE_BYTES ? messageTooLong(length) : "There is more than one message";
}

function messageTooLong(length: number): string {
  return `The message has ${length} bytes; a health message has no more than ${MAX_MESSAGE_BYTES}`;
}

/** @param body at least a prefix */
function lengthOf(body: Uint8Array): number {
  const low = (body[2] ?? 0) << 16 | (body[3] ?? 0) << 8 | (body[4] ?? 0);
  return (body[1] ?? 0) * 2 ** 24 + low;
}

function failed(code: StatusCode, detail: string): HealthAnswer {
  return { ok: false, code, detail };
}

function isGrpc(headers: readonly HeaderField[]): boolean {
  const type = valueOf(headers, "content-type");
  return type !== undefined && GRPC_CONTENT.test(type) && countOf(headers, "content-type") === 1;
}

function contentTypeShown(headers: readonly HeaderField[]): string {
  const types = headers.filter(([name]) => name === "content-type").map(([, value]) => value);
  return types.length === 0 ? "" : ` (${types.join(", ").slice(0, MAX_SHOWN)})`;
}

/** The first value of a field. */
function valueOf(fields: readonly HeaderField[], wanted: string): string | undefined {
  for (const field of fields) if (field[0] === wanted) return field[1];
  return undefined;
}

function countOf(fields: readonly HeaderField[], wanted: string): number {
  let count = 0;
  for (const field of fields) if (field[0] === wanted) count++;
  return count;
}

function shown(value: string): string {
  return JSON.stringify(value.slice(0, MAX_SHOWN));
}

/** The text of `grpc-message`, which is percent-encoded UTF-8, though not all servers encode it. */
function messageOf(fields: readonly HeaderField[]): string {
  const raw = valueOf(fields, "grpc-message") ?? "";
  const bytes: number[] = [];
  for (let at = 0; at < raw.length; at++) {
    const [, hex] = /^%([0-9A-Fa-f]{2})/.exec(raw.slice(at, at + 3)) ?? [];
    bytes.push(hex === undefined ? raw.charCodeAt(at) : parseInt(hex, 16));
    if (hex !== undefined) at += 2;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

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
