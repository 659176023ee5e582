import { type Need, testThatNeeds } from "../testing/test_that_needs.ts";
import { getHaproxy, haproxyVersion } from "./find_haproxy.ts";
import { Haproxy, type HaproxyOptions } from "./haproxy.ts";
import { HAPROXY_SERIES, type HaproxySeries } from "./haproxy_packages.ts";

/** Starts the HAProxy that a test is about with this configuration; the test disposes of it. */
export type StartHaproxy = (configuration: string, options?: HaproxyOptions) => Promise<Haproxy>;

/**
 * Defines one test for each HAProxy series, or for some. See {@linkcode testThatNeeds} for a series that cannot
 * be had. `HAPROXY_PROGRAM` in the environment names an executable, of whatever version, that takes the place
 * of all series.
 *
 * @param name what holds
 * @param test is given the path of the executable, too
 * @param need what else the test wants of the machine
 */
export function testWithEachHaproxy(
  name: string,
  test: (start: StartHaproxy, executable: string) => Promise<void>,
  wanted: readonly HaproxySeries[] = HAPROXY_SERIES,
  need: Need = { missing: undefined },
): void {
  for (const { version, series, executable, missing } of HAPROXIES) {
    if (PROGRAM === undefined && !wanted.includes(series)) continue;
    testThatNeeds(
      missing === undefined ? need : { missing },
      `HAProxy ${version}: ${name}`,
      () => test((...given) => Haproxy.start(executable, ...given), executable),
    );
  }
}

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
 * Defines one test for all HAProxy series together, so that they see the same servers at the same time;
 * `HAPROXY_PROGRAM` and series that cannot be had are as in {@linkcode testWithEachHaproxy}.
 *
 * @param name what holds
 * @param needs what else the test wants of the machine
 */
export function testSideBySide(
  name: string,
  needs: readonly Need[],
  test: (start: StartSideBySide) => Promise<void>,
): void {
  const missing = [...needs, ...HAPROXIES].find((one) => one.missing !== undefined)?.missing;
  const start: StartSideBySide = async (stack, configuration) => {
    const started = await Promise.all(HAPROXIES.map(async ({ series, executable }) => {
      const text = configuration(series);
      if (text === undefined) return [];
      return [[series, stack.use(await Haproxy.start(executable, text))] as const];
    }));
    return new Map(started.flat());
  };
  testThatNeeds({ missing }, `HAProxy side by side: ${name}`, () => test(start));
}

/** An HAProxy to test with, or why there is none. */
interface Candidate {
  /** For the names of tests. */
  readonly version: string;
  readonly series: HaproxySeries;
  /** "" where it is missing. */
  readonly executable: string;
  readonly missing: string | undefined;
}

const PROGRAM = Deno.env.get("HAPROXY_PROGRAM");

const HAPROXIES: readonly Candidate[] = PROGRAM === undefined
  ? await Promise.all(HAPROXY_SERIES.map(ofSeries))
  : [await named(PROGRAM)];

async function named(executable: string): Promise<Candidate> {
  const version = await haproxyVersion(executable);
  if (version === undefined) throw new Error(`HAPROXY_PROGRAM=${executable} is no HAProxy`);
  const series = HAPROXY_SERIES.findLast((one) => version >= one) ?? HAPROXY_SERIES[0];
  return { version, series, executable, missing: undefined };
}

async function ofSeries(series: HaproxySeries): Promise<Candidate> {
  try {
    return { version: series, series, executable: await getHaproxy(series), missing: undefined };
  } catch (error) {
    return { version: series, series, executable: "", missing: (error as Error).message };
  }
}
