/** Makes what joins the log lines of one request: 32 hex digits, the form of a W3C trace-id. */
export function newTraceId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
