import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const EXECUTABLE = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Why there is no browser, or `undefined` when there is one. */
export function browserMissing(): string | undefined {
  return existsSync(EXECUTABLE)
    ? undefined
    : `${EXECUTABLE} is missing: install Debian's chromium, or name one in CHROMIUM`;
}

/** Starts a headless Chromium. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: EXECUTABLE, args: ARGS });
}

/**
 * A test that needs a browser. Without one it is ignored with the reason printed, and in CI (environment
 * variable CI) it fails.
 */
export function testWithBrowser(name: string, test: (browser: Browser) => Promise<void>): void {
  const missing = browserMissing();
  const ignore = missing !== undefined && !Deno.env.has("CI");
  if (ignore) console.warn(`Ignored: "${name}": ${missing}`);
  Deno.test({
    name,
    ignore,
    // playwright-core keeps timers and its own handles beyond the browser's end.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      if (missing !== undefined) throw new Error(missing);
      const browser = await startBrowser();
      try {
        await test(browser);
      } finally {
        await browser.close();
      }
    },
  });
}
