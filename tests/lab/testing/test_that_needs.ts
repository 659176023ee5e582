/** What a test needs of the machine. */
export interface Need {
  /** Why it cannot run here, with what to install; `undefined` when it can. */
  missing: string | undefined;
  /** Whether CI may be without it, too. @default {false} */
  mayLackInCi?: boolean;
  /** Whether timers and sockets of the test's own process are watched. @default {true} */
  sanitize?: boolean;
}

/**
 * A test that needs something that not every machine has. Without it the test is ignored with the reason
 * printed, and in CI (environment variable CI) it fails, unless the need says otherwise.
 */
export function testThatNeeds(
  need: Need,
  name: string,
  test: (t: Deno.TestContext) => Promise<void>,
): void {
  const { missing, mayLackInCi = false, sanitize = true } = need;
  const ignore = missing !== undefined && (mayLackInCi || !Deno.env.get("CI"));
  if (ignore) console.warn(`Ignored: "${name}": ${missing}`);
  Deno.test({
    name,
    ignore,
    sanitizeOps: sanitize,
    sanitizeResources: sanitize,
    fn: async (t) => {
      if (missing !== undefined) throw new Error(missing);
      await test(t);
    },
  });
}

/** Whether a command ends well on this machine; false where there is no such program. */
export function succeeds(program: string, ...args: readonly string[]): boolean {
  try {
    return new Deno.Command(program, { args: [...args] }).outputSync().success;
  } catch {
    return false;
  }
}
