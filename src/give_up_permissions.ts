import type { Settings } from "./config/settings.ts";

/**
 * Gives up what only the start needs, so that nothing that happens later can use it: the environment,
 * and, unless the log goes to a file, writing. Deno gives neither back. Variables read as unset then.
 */
export function giveUpPermissions(settings: Pick<Settings, "log_destination">): void {
  Deno.permissions.revokeSync({ name: "env" });
  if (settings.log_destination !== "file") Deno.permissions.revokeSync({ name: "write" });
}
