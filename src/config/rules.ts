import { type BackendRules, parseBackendRules } from "../access/backend_rules.ts";
import { type ClientRules, parseClientRules } from "../access/client_rules.ts";
import type { SettingKey, Settings } from "./settings.ts";

/** Who may ask, and for what. */
export interface Rules {
  readonly clientRules: ClientRules;
  readonly backendRules: BackendRules;
}

/**
 * Reads `allow_clients` and `allow_backends`.
 *
 * @param sourceOf where the value of a setting came from, for messages
 * @param mistakes takes one line per mistake
 */
export function readRules(
  settings: Settings,
  sourceOf: (key: SettingKey) => string,
  mistakes: string[],
): Rules | undefined {
  const clients = parseClientRules(settings.allow_clients);
  const backends = parseBackendRules(settings.allow_backends);
  const complain = (key: SettingKey, reasons: readonly string[]) => {
    for (const reason of reasons) mistakes.push(`${key} (from ${sourceOf(key)}): ${reason}`);
  };
  if (!clients.ok) complain("allow_clients", clients.mistakes);
  if (!backends.ok) complain("allow_backends", backends.mistakes);
  return clients.ok && backends.ok
    ? { clientRules: clients.rules, backendRules: backends.rules }
    : undefined;
}
