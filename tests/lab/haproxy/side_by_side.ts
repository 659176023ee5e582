import { type Need, testThatNeeds } from "../testing/test_that_needs.ts";
import { getHaproxy, haproxyVersion } from "./find_haproxy.ts";
import { Haproxy } from "./haproxy.ts";
import { HAPROXY_SERIES, type HaproxySeries } from "./haproxy_packages.ts";

/** HAProxies of several series that run at the same time, by series. */
export type HaproxiesSideBySide = ReadonlyMap<string, Haproxy>;

/**
 * Starts an HAProxy of each series with the configuration that the function gives for it; none for
 * undefined. The caller hands the stack that ends them.
 */
export type StartSideBySide = (
  stack: AsyncDisposableStack,
  configuration: (series: HaproxySeries) => string | undefined,
) => Promise<HaproxiesSideBySide>;

/**
 * Defines one test for all HAProxy series together, so that they see the same servers at the same time.
 *
 * Where a series cannot be had the test is ignored, in CI it fails. `HAPROXY_PROGRAM` in the environment
 * names an executable that takes the place of all.
 *
 * @param name what holds
 * @param needs what else the test wants of the machine
 */
export function testSideBySide(
  name: string,
  needs: readonly Need[],
  test: (start: StartSideBySide) => Promise<void>,
): void {
  const missing = [...needs.map(({ missing }) => missing), MISSING].find((one) =>
    one !== undefined
  );
  testThatNeeds(
    { missing },
    `HAProxy side by side: ${name}`,
    () =>
      test(async (stack, configuration) => {
        const started = await Promise.all(EXECUTABLES.map(async ([series, executable]) => {
          const text = configuration(series);
          if (text === undefined) return [];
          return [[series, stack.use(await Haproxy.start(executable, text))] as const];
        }));
        return new Map(started.flat());
      }),
  );
}

/** The executables of the series side by side. */
const { executables: EXECUTABLES, missing: MISSING } = await find();

async function find(): Promise<{
  executables: readonly (readonly [HaproxySeries, string])[];
  missing: string | undefined;
}> {
  const named = Deno.env.get("HAPROXY_PROGRAM");
  try {
    if (named === undefined) {
      const all = HAPROXY_SERIES.map(async (series) => [series, await getHaproxy(series)] as const);
      return { executables: await Promise.all(all), missing: undefined };
    }
    const version = await haproxyVersion(named) ?? "";
    const series = HAPROXY_SERIES.findLast((one) => version >= one) ?? HAPROXY_SERIES[0];
    return { executables: [[series, named]], missing: undefined };
  } catch (error) {
    return { executables: [], missing: (error as Error).message };
  }
}
