/** A version of CHANGELOG.md. */
export interface Release {
  readonly version: string;
  /** The day, such as "2026-11-27"; none while it is not released. */
  readonly date: string | undefined;
  /** What stands under its heading, in Markdown. */
  readonly notes: string;
}

/**
 * Reads the versions of a change log, the newest first.
 *
 * @param markdown in the form of Keep a Changelog: `## [1.2.3] - 2026-11-27`, or `## [Unreleased]`
 */
export function releases(markdown: string): Release[] {
  return markdown.split(/^## /m).slice(1).map((section) => {
    const [heading = "", ...rest] = section.split("\n");
    const [, version, date] = /^\[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$/.exec(heading.trim()) ??
      [];
    if (version === undefined) throw new Error(`CHANGELOG.md: no heading of a version: ${heading}`);
    const notes = rest.join("\n").replace(/^\[[^\]]+\]: .*$/gm, "").trim();
    return { version, date, notes };
  });
}

/**
 * Gives what a release says of itself.
 *
 * @throws {Error} when the change log does not have the version, dated, with something to say
 */
export function releaseNotes(markdown: string, version: string): string {
  const found = releases(markdown).find((release) => release.version === version);
  if (found === undefined) throw new Error(`CHANGELOG.md has no version ${version}`);
  if (found.date === undefined) throw new Error(`CHANGELOG.md: ${version} has no date`);
  if (found.notes === "") throw new Error(`CHANGELOG.md says nothing of ${version}`);
  return found.notes;
}

/**
 * Writes the change log of the Debian package, which points to the upstream one beside it.
 *
 * @param version of the package, such as "0.1.0-1"
 * @param maintainer name and address
 */
export function debianChangelog(version: string, maintainer: string, date: Date): string {
  return `haproxy-grpc-agent (${version}) stable; urgency=medium

  * Version ${version.replace(/-\d+$/, "")}; what is new stands in changelog.gz.

 -- ${maintainer}  ${date.toUTCString().replace("GMT", "+0000")}
`;
}
