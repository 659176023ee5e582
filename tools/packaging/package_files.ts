import { packageLicences } from "../sbom/bill_of_materials.ts";
import { debianChangelog } from "./changelog.ts";
import { bashCompletion, zshCompletion } from "./completion.ts";
import { manualPage } from "./manual_page.ts";
import { packagedUnit } from "./packaged_unit.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** What the packages say of themselves. */
export interface PackageInfo {
  /** Such as "0.1.0". */
  readonly version: string;
  /** The day on which that version was made. */
  readonly date: Date;
  /** Name and address, such as "A Name <name@example.org>". */
  readonly maintainer: string;
}

/**
 * Makes what the packages hold beside the executable and the files of deploy/packages.
 *
 * @returns texts by the name of their file
 */
export async function packageFiles(info: PackageInfo): Promise<Map<string, string>> {
  const { version, date, maintainer } = info;
  const read = (path: string) => Deno.readTextFile(ROOT + path);
  const unit = async (name: string) =>
    [name, packagedUnit(await read(`deploy/systemd/${name}`))] as const;
  return new Map([
    await unit("haproxy-grpc-agent.service"),
    await unit("haproxy-grpc-agent@.service"),
    ["haproxy-grpc-agent.8", manualPage(version, date.toISOString().slice(0, 10))],
    ["completion.bash", bashCompletion()],
    ["completion.zsh", zshCompletion()],
    ["copyright", COPYRIGHT],
    [
      "third-party-licenses",
      await thirdPartyLicences(await read("deploy/packages/deno-licence.txt")),
    ],
    ["changelog.Debian", debianChangelog(`${version}-1`, maintainer, date)],
    ["changelog", await read("CHANGELOG.md")],
  ]);
}

/** In the form of https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/. */
const COPYRIGHT = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: haproxy-grpc-agent
Comment: The executable also holds Deno's runtime and packages of npm. Their licences are in
 third-party-licenses.gz, beside this file.

Files: *
Copyright: 2026 the authors of haproxy-grpc-agent
License: Apache-2.0

License: Apache-2.0
 Licensed under the Apache License, Version 2.0; you may not use this program except in compliance with
 the License. Unless required by applicable law or agreed to in writing, software distributed under the
 License is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
 or implied.
 .
 On Debian systems the text of the License is in /usr/share/common-licenses/Apache-2.0.
`;

async function thirdPartyLicences(deno: string): Promise<string> {
  const all = [["Deno, and V8 and other libraries in its runtime", deno] as const];
  const named = [...all, ...await packageLicences()];
  return named.map(([name, text]) => `${"=".repeat(78)}\n${name}\n\n${text.trim()}\n`).join("\n");
}
