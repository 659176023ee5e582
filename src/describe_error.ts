/** @returns what was thrown, in one line for people */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** @returns what was thrown, with the stack that leads to a bug */
export function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

/** @returns the errno's name of what was thrown by Deno or Node; empty where there is none */
export function codeOf(error: unknown): string {
  const { code, message } = (error ?? {}) as Partial<Record<"code" | "message", unknown>>;
  if (typeof code === "string") return code;
  // The one errno that matters here and has no name from Deno (2.9.6); goes once it has.
  return typeof message === "string" && message.includes("(os error 23)") ? "ENFILE" : "";
}
