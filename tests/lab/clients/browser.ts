import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import type { Need } from "../testing/test_that_needs.ts";

const EXECUTABLE = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A headless Chromium. */
export const BROWSER: Need = {
  missing: existsSync(EXECUTABLE)
    ? undefined
    : `${EXECUTABLE} is missing: install Debian's chromium, or name one in CHROMIUM`,
  // playwright-core keeps timers and handles of its own beyond the browser's end.
  sanitize: false,
};

/** Starts it. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: EXECUTABLE, args: ARGS });
}
