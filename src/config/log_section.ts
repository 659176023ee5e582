import { type Component, COMPONENTS, LOG_LEVELS, type LogLevel } from "../observe/log.ts";
import { wrongValue } from "./mistakes.ts";
import type { TomlEntry } from "./toml_file.ts";

/** What the Rust agent calls itself in its `[logging.packages]`; a module of it is a component here. */
const RUST_PACKAGE = /^haproxy_grpc_agent(?:::(\w+))?$/;

/**
 * Reads `[logging.packages]`: the level of each component. The names that a configuration of the Rust
 * agent holds are understood; the packages it is made of (`tonic`) do not exist here and only give a
 * warning.
 *
 * @param mistakes takes one line per mistake
 * @param warnings takes one line per name that is passed over
 */
export function readLogPackages(
  entries: readonly TomlEntry[],
  mistakes: string[],
  warnings: string[],
): ReadonlyMap<Component, LogLevel> {
  const levels = new Map<Component, LogLevel>();
  // The whole before its parts, whatever their order in the file.
  const whole = entries.filter(({ path }) => path[2] === "haproxy_grpc_agent");
  for (const entry of [...whole, ...entries.filter((entry) => !whole.includes(entry))]) {
    const { path, value, source } = entry;
    const name = path.slice(2).join(".");
    const level = LOG_LEVELS.find((level) => level === value);
    const components = componentsOf(name);
    if (level === undefined) {
      const accepted = `one of ${LOG_LEVELS.join(", ")}`;
      mistakes.push(wrongValue(`logging.packages.${name}`, source, value, accepted));
    } else if (components.length === 0) {
      warnings.push(`logging.packages.${name} (from ${source}): no such component, passed over`);
    }
    for (const component of components) if (level !== undefined) levels.set(component, level);
  }
  return levels;
}

function componentsOf(name: string): readonly Component[] {
  const rust = RUST_PACKAGE.exec(name);
  if (rust !== null && rust[1] === undefined) return COMPONENTS;
  return COMPONENTS.filter((component) => component === (rust?.[1] ?? name));
}
