/**
 * Turns a unit of deploy/systemd into that of the packages: the program is in /usr/bin, the configuration of
 * the single agent is config.toml, and the user stays, so that the key of a client certificate can be its
 * own and its logs need no folder that root alone may enter.
 *
 * @param text the unit
 * @throws {Error} when there is nothing to change where there should be
 */
export function packagedUnit(text: string): string {
  const changes: readonly (readonly [RegExp, string])[] = [
    [/\/usr\/local\/bin\//g, "/usr/bin/"],
    [/; docs\/deployment-guide\.md tells .*? What you change\n# goes/s, ". What you change goes"],
    [/^# The compiled executable, .*\n/m, ""],
    [settingWithComment("DynamicUser"), "# The package's; it owns no file but its logs.\n"],
    [settingWithComment("SupplementaryGroups"), ""],
  ];
  const changed = changes.reduce((before, [pattern, replacement]) => {
    const after = before.replace(pattern, replacement);
    if (after === before && !isOfSingleAgent(pattern)) {
      throw new Error(`The unit has no place for the package's change of ${pattern}`);
    }
    return after;
  }, text);
  return changed.replaceAll("agent.toml", "config.toml");
}

/** A setting, commented out or not, with the comment above it. */
function settingWithComment(name: string): RegExp {
  return new RegExp(`(?:^#(?!\\w+=).*\\n)+^#?${name}=.*\\n`, "m");
}

/** The template does not tell how it is installed. */
function isOfSingleAgent({ source }: RegExp): boolean {
  return source.includes("deployment-guide");
}
