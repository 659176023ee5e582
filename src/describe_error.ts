/** @returns what was thrown, in one line for people */
export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) return missingPermission(error.message);
  return error instanceof Error ? error.message : String(error);
}

/** Leaves out Deno's advice to give it flags, which nobody who runs the agent can or should give. */
function missingPermission(message: string): string {
  const [, kind, rest] = /^Requires (\w+) access(.*?),\s+(?:run again|specify)/.exec(message) ?? [];
  if (kind === undefined) return message;
  // Deno demands all permissions for files that give access to the whole system or process.
  if (kind === "all") return "Deno's permissions allow no file of /dev, /proc and /sys";
  return `Deno's permissions do not allow it: it takes ${kind} access${rest}`;
}

/** @returns what was thrown, with the stack that leads to a bug */
export function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

/** @returns the name of the errno (`ECONNREFUSED`) in an error of Deno or Node; empty where there is none */
export function codeOf(error: unknown): string {
  const { code, message } = (error ?? {}) as Partial<Record<"code" | "message", unknown>>;
  if (typeof code === "string") return code;
  // Deno (2.9.6) gives this errno no name; this can go once it does.
  return typeof message === "string" && message.includes("(os error 23)") ? "ENFILE" : "";
}
