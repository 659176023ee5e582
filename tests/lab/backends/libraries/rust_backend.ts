import { ROOT } from "../../machine/lab_process.ts";
import { testThatNeeds } from "../../testing/test_that_needs.ts";
import { buildOnce, type Built } from "./build_once.ts";
import { HealthBackend, type HealthBackendOptions } from "./health_backend.ts";

/**
 * Starts a backend on tonic. Options that only others know are ignored; it tells no authority.
 *
 * @throws {Error} when it cannot be built here; see {@linkcode testWithRust}
 */
export async function startRustBackend(options: HealthBackendOptions = {}): Promise<HealthBackend> {
  const { folder, missing } = await build();
  if (missing !== undefined) throw new Error(missing);
  return await new HealthBackend([`${folder}/rust-backend`], options).start();
}

/** A test that needs a Rust backend; see {@linkcode testThatNeeds}. Builds it where it is not yet. */
export async function testWithRust(
  name: string,
  test: (t: Deno.TestContext) => Promise<void>,
): Promise<void> {
  testThatNeeds({ missing: (await build()).missing }, name, test);
}

let built: Promise<Built> | undefined;

function build(): Promise<Built> {
  return built ??= buildOnce({
    name: "rust-backend",
    sources: `${ROOT}tests/lab/backends/libraries/rust_backend`,
    tools: [["cargo", "--version"]],
    install: "Rust is missing (Debian package cargo, 1.85 or later)",
    commands: [
      ["cargo", "build", "--release", "--locked", "--quiet"],
      ["mv", "target/release/rust-backend", "."],
      // What the build leaves behind is a hundred times as large.
      ["rm", "-r", "target"],
    ],
  });
}
